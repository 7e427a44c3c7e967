"""`doctor`: what it finds on this host and at the target, and on many hosts."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config
from tests.servers.faults import Answer
from tests.servers.ports import closed_port
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target
    from tests.protocol.test_least_privilege import Bucket
    from tests.servers.minio import Minio

HOST = ["configuration", "executable", "options", "environment", "log", "private directories"]
HOST += ["checksum", "SQLite", "versions"]
TARGET = [
    "reach",
    "credentials",
    "clock",
    "write",
    "create once",
    "multipart",
    "abort",
    "read",
    "read a range",
    "list",
    "delete",
]
TARGET += ["latency", "throughput up", "throughput down", "nothing left"]
S3 = "s3://gp-backups/doctor"
NO_SUCH_KEY = "<Error><Code>NoSuchKey</Code><Message>from the proxy</Message></Error>"


def examined(plugin: Plugin, *more: str, status: int = 0, config: Path | None = None) -> dict[str, dict[str, Any]]:
    """The steps by name, of which `options` may have several."""
    done = plugin.run("doctor", "--json", *more, config=config)
    assert (done.status, done.err) == (status, ""), done
    answer = json.loads(done.out)
    assert set(answer) == {"host", "version", "configuration", "result", "steps"}
    for step in answer["steps"]:
        assert set(step) == {"step", "status", "told", "next", "seconds", "figures"}
    steps = {step["step"]: step for step in answer["steps"]}
    worst = {step["status"] for step in answer["steps"]}
    expected = "failed" if "failed" in worst else "warning" if "warning" in worst else "ok"
    assert answer["result"] == expected
    return steps


def failed(steps: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, step in steps.items() if step["status"] == "failed"]


def test_a_target_that_is_well(plugin: Plugin, target: Target) -> None:
    plugin.config.chmod(0o600)
    before = time.time()
    steps = examined(plugin)
    took = time.time() - before
    assert list(steps) == HOST + TARGET
    told = {name: step["status"] for name, step in steps.items() if step["status"] != "ok"}
    assert told.pop("clock", None) == (None if target.kind in ("s3", "gcs", "azure") else "skipped")
    assert told in ({}, {"options": "warning"})
    assert (target.kind == "s3") <= bool(told)  # its secrets stand in the file
    assert steps["throughput up"]["figures"]["bytes_per_second"] > 0
    assert steps["throughput down"]["figures"]["bytes"] >= 4 << 20
    if target.kind == "s3":
        # Both have the same clock; the answer may have been on its way for a while.
        assert -took - 1 <= steps["clock"]["figures"]["offset_seconds"] <= 1
        assert steps["multipart"]["told"] == "3 parts, 10.0 MB"
    assert target.keys() == []


def test_people_get_a_line_a_step(local: Plugin) -> None:
    lines = local.run("doctor", "--quick").succeeded().out.decode().splitlines()
    steps = [line[9:].split("  ")[0] for line in lines[:-2]]
    assert steps == HOST + [name for name in TARGET if not name.startswith("throughput")]
    assert {line.split()[0] for line in lines[:-2]} == {"ok", "skipped"}
    assert lines[-2:] == ["", "Ready for a backup"]
    assert "\x1b" not in "".join(lines)


def test_a_directory_that_can_not_be_written(local: Plugin, read_only: Path) -> None:
    config = write_config(local.database.folder / "c.yaml", f"file://{read_only}/backups")
    steps = examined(local, "--quick", config=config, status=1)
    assert failed(steps) == ["reach"]
    words = "read-only" if os.geteuid() == 0 else "permission denied"
    assert words in steps["reach"]["told"]
    assert steps["write"]["status"] == "skipped"
    assert list(read_only.iterdir()) == []


def test_a_directory_that_is_missing(local: Plugin, tmp_path: Path) -> None:
    where = tmp_path / "not" / "mounted"
    config = write_config(tmp_path / "c.yaml", f"file://{where}", {"auto_mkdir": False})
    steps = examined(local, "--quick", config=config, status=3)
    assert failed(steps) == ["reach"]
    assert "does not exist; mount or create it on this host" in steps["reach"]["told"]
    assert steps["reach"]["next"] == ""
    assert not where.parent.exists()


@pytest.mark.parametrize(
    ("url", "wrong", "step", "words"),
    [
        ("s3://no-such-bucket/x", {}, "reach", "the bucket does not exist"),
        (S3, {"key": "somebody-else"}, "credentials", "the access key is not known there"),
        (S3, {"secret": "another-secret"}, "credentials", "the secret key does not match"),
    ],
)
def test_a_wrong_bucket_and_wrong_credentials(
    local: Plugin, minio: Minio, url: str, wrong: dict[str, str], step: str, words: str
) -> None:
    write_config(local.config, url, {**minio.options, **wrong})
    steps = examined(local, status=1)
    assert failed(steps) == [step]
    assert words in steps[step]["told"]
    assert {steps[name]["status"] for name in TARGET[3:]} == {"skipped"}


def test_credentials_that_may_only_write_are_warned_of(bucket: Bucket, anybody: Plugin) -> None:
    """They are enough for a backup; what can't be removed is told."""
    bucket.allow("s3:PutObject", "s3:AbortMultipartUpload")
    steps = examined(anybody, "--quick")
    found = [name for name, step in steps.items() if step["status"] == "warning"]
    assert found == ["credentials", "read", "list", "delete", "nothing left"]
    assert "a restore needs others" in steps["read"]["told"]
    assert "fsspec_gp_plugin_doctor/" in steps["nothing left"]["told"]
    assert bucket.names()


@pytest.mark.parametrize("how", ["refuses", "never answers", "has no name"])
def test_a_target_out_of_reach(local: Plugin, how: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if how == "never answers":
            listener.listen(8)
        place = f"127.0.0.1:{listener.getsockname()[1]}" if how != "has no name" else "no-such-host.invalid"
        options = {"endpoint_url": f"http://{place}", "key": "kkkk", "secret": "ssss"}
        write_config(local.config, S3, options, timeout="3s", max_retries="0")
        steps = examined(local, status=3)
    assert failed(steps) == ["reach"]
    where = "name" if how == "has no name" else "connection"
    assert steps["reach"]["figures"] == {"failed_at": where}
    assert steps["reach"]["next"]


def test_clocks_that_differ(local: Plugin, minio: Minio) -> None:
    seconds = 7200
    with Proxy(minio.endpoint) as proxy:
        before = time.time()
        date = {"Date": formatdate(before + seconds, usegmt=True)}
        proxy.faults.append(Answer(lambda r: "absent" in r.path, status=404, body=NO_SUCH_KEY, headers=date))
        write_config(local.config, S3, {**minio.options, "endpoint_url": proxy.endpoint})
        steps = examined(local, "--quick", status=1)
    assert failed(steps) == ["clock"]
    # The store's clock stands still from then on.
    assert -(time.time() - before) - 1 <= steps["clock"]["figures"]["offset_seconds"] - seconds <= 1
    assert "behind the store's: the store refuses signed requests" in steps["clock"]["told"]


def test_the_configuration_is_looked_at(local: Plugin, tmp_path: Path) -> None:
    text = local.config.read_text()
    program = tmp_path / "program"
    for named, words in (
        ("", "is missing"),
        ("bin/fsspec_gp_plugin", "not an absolute path"),
        (str(program), "is not a file"),
        (str(program), "is not executable"),
    ):
        if words == "is not executable":
            program.write_text("#!/bin/sh\n")
        local.config.write_text(text.replace(str(EXECUTABLE), named))
        steps = examined(local, "--quick", status=2)
        assert failed(steps) == ["executable"]
        assert words in steps["executable"]["told"]
    program.chmod(0o755)
    steps = examined(local, "--quick")
    assert "but this is" in steps["executable"]["told"]
    local.config.write_text(text.replace("url:", "uri:").replace('"url"', '"uri"'))
    steps = examined(local, status=2)
    assert "did you mean 'url'?" in steps["configuration"]["told"]
    assert {steps[name]["status"] for name in TARGET} == {"skipped"}
    local.config.unlink()
    assert "No such file" in examined(local, status=2)["configuration"]["told"]


def test_secrets_that_others_can_read_are_a_warning_and_never_shown(local: Plugin, minio: Minio) -> None:
    options = {**minio.options, "endpoint_url": f"http://127.0.0.1:{closed_port()}"}
    write_config(local.config, S3, options, max_retries="0").chmod(0o644)
    done = local.run("doctor")
    assert done.status == 3
    assert f"run `chmod 600 {local.config}`" in done.out.decode()
    assert minio.options["secret"] not in done.out.decode() + done.err


def test_a_signal_leaves_nothing_behind(plugin: Plugin, target: Target) -> None:
    write_config(plugin.config, target.url, target.options, max_bandwidth="4MB")  # or it may be too quick
    process = plugin.start("doctor")
    target.wait_for_upload(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert target.keys() == []
