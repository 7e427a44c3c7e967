"""`doctor`: what it finds on this host and at the target, and on many hosts."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

import fsspec_gp_plugin
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
    from tests.servers.sshd import Sshd

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
    assert "behind the store's: signed requests are refused" in steps["clock"]["told"]


def test_the_configuration_is_looked_at(local: Plugin, tmp_path: Path) -> None:
    text = local.config.read_text()
    program = tmp_path / "program"
    for named, words in (
        ("", "is missing"),
        ("bin/fsspec_gp_plugin", "no absolute path"),
        (str(program), "is no file"),
        (str(program), "may not be executed"),
    ):
        if words == "may not be executed":
            program.write_text("#!/bin/sh\n")
        local.config.write_text(text.replace(str(EXECUTABLE), named))
        steps = examined(local, "--quick", status=2)
        assert failed(steps) == ["executable"]
        assert words in steps["executable"]["told"]
    program.chmod(0o755)
    steps = examined(local, "--quick")
    assert "is another executable than this one" in steps["executable"]["told"]
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


def compared(local: Plugin, *words: str, status: int = 0) -> list[tuple[str, str, str]]:
    line = shlex.join([str(EXECUTABLE), "doctor", str(local.config), "--quick", "--json", *words])
    done = local.shell(line)
    assert (done.status, done.err) == (status, ""), done
    rows = json.loads(done.out)["hosts"]
    for row in rows:
        assert set(row) == {"host", "result", "version", "configuration", "differs", "told"}
    return [(row["host"], row["result"], "; ".join([*row["differs"], row["told"]])) for row in rows]


def test_hosts_are_compared(local: Plugin, tmp_path: Path) -> None:
    """By a transport that runs the command here, and changes what the host is to have otherwise."""
    other = tmp_path / "other.yaml"
    other.write_text(local.config.read_text() + "# the same\n")
    write_config(tmp_path / "differs.yaml", f"file://{tmp_path}/disk", timeout="30s")
    transport = tmp_path / "transport"
    transport.write_text(
        f"""#!/bin/sh
host=$1 config={local.config}
case $host in
  same) sh -c "echo welcome; $2" ;;
  comment) sh -c "$(echo "$2" | sed "s|$config|{other}|")" ;;
  configuration) sh -c "$(echo "$2" | sed "s|$config|{tmp_path}/differs.yaml|")" ;;
  missing) sh -c "$(echo "$2" | sed "s|$config|/no/such.yaml|")" ;;
  version) sh -c "$2" | sed 's/"version": "[^"]*"/"version": "0.0.9"/' ;;
  absent) sh -c /no/such/program ;;
  *) echo "no route to $host" >&2; exit 255 ;;
esac
"""
    )
    transport.chmod(0o755)
    names = tmp_path / "hosts"
    names.write_text("# all of them\nversion\nabsent  # of old\n\nfar\n")
    rows = compared(
        local, "--ssh", str(transport), "--hosts", "same,comment,configuration,missing", "--hostfile", str(names),
        status=1,
    )  # fmt: skip
    assert [(host, result) for host, result, _ in rows] == [
        ("same", "ok"),
        ("comment", "ok"),
        ("configuration", "differs"),
        ("missing", "failed"),
        ("version", "differs"),
        ("absent", "failed"),
        ("far", "failed"),
    ]
    told = {host: text for host, _, text in rows}
    assert "another configuration" in told["configuration"]
    assert "No such file" in told["missing"]
    assert f"version 0.0.9 instead of {fsspec_gp_plugin.__version__}" in told["version"]
    assert "install the plugin at the same path" in told["absent"]
    assert "no route to far" in told["far"]
    line = shlex.join([str(EXECUTABLE), "doctor", str(local.config), "--quick", "--ssh", str(transport)])
    lines = local.shell(f"{line} --hosts far,same").out.decode().splitlines()
    assert [text.split()[:2] for text in lines] == [["HOST", "RESULT"], ["far", "failed"], ["same", "ok"]]
    local.shell(f"{line} --hosts ,").failed("no hosts are named", status=2)
    local.shell(f"{line} --hosts=-oProxyCommand=x").failed("is not the name of a host", status=2)


def test_a_host_that_sees_another_place_is_told(local: Plugin, tmp_path: Path) -> None:
    """Its share is not mounted, and nothing is made in its place."""
    transport = tmp_path / "transport"
    (tmp_path / "empty").mkdir()
    transport.write_text(
        f"""#!/bin/sh
case $1 in
  mounted) sh -c "$2" ;;
  empty) unshare -m sh -c "mount --bind {tmp_path}/empty {tmp_path}/disk; $2" ;;
esac
"""
    )
    transport.chmod(0o755)
    rows = compared(local, "--ssh", str(transport), "--hosts", "mounted,empty", status=1)
    assert rows[0] == ("mounted", "ok", "")
    assert rows[1][:2] == ("empty", "failed")
    assert "same place: this host does not see what" in rows[1][2]
    assert list((tmp_path / "disk").iterdir()) == list((tmp_path / "empty").iterdir()) == []


def test_hosts_are_reached_by_ssh(local: Plugin, sftp: Sshd) -> None:
    options = f"-p {sftp.port} -i {sftp.keys}/user -o UserKnownHostsFile={sftp.known_hosts()} -F none"
    rows = compared(local, "--hosts", "127.0.0.1,127.0.0.2", "--ssh", f"ssh {options}", status=1)
    assert rows[0] == ("127.0.0.1", "ok", "")
    assert rows[1][:2] == ("127.0.0.2", "failed")
    assert "ssh can't reach it" in rows[1][2]
