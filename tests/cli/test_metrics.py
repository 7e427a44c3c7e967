"""`metrics`: what a monitoring system reads."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from fsspec_gp_plugin.integrity.verification import Verdict
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.open import open_store
from tests.cli.arranged import asked, put_backup
from tests.protocol.caller import write_config
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin

FULL, UPON = "20260102030405", "20260103030405"
# When one was verified.
READ = 1800000000
NAME = 'odd "name" \\ of {a}, database'


def parsed(text: str) -> dict[tuple[str, ...], float]:
    """The values by name and labels; every family has a type and a meaning."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True), family
        assert family.name.startswith("fsspec_gp_plugin_")
        for sample in family.samples:
            key = (sample.name.removeprefix("fsspec_gp_plugin_"), *sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_the_last_complete_backup_of_each_kind_is_told(local: Plugin, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/disk", {})
    put_backup(store, "20260101030405", database=NAME)
    put_backup(store, FULL, database=NAME, size=1000)
    put_backup(store, UPON, database=NAME, needs=[FULL])
    put_backup(store, "20260104030405", database=NAME, status="Failure")
    put_backup(store, "20260105030405", database=NAME, without=["toc.yaml"])
    for timestamp, well in ((FULL, True), (UPON, False)):
        store.put(backup_prefix(timestamp) + Verdict(0, 1, READ, well).name, memoryview(b"{}"))
    before = time.time()
    values = parsed(local.run("metrics").succeeded().out.decode())
    took = time.time() - before
    began = datetime.strptime(FULL, "%Y%m%d%H%M%S").timestamp()
    assert values["up",] == 1
    assert 0 < values["scrape_duration_seconds",] < took
    assert [values["backups", state] for state in ("complete", "failed", "incomplete")] == [3, 1, 1]
    assert values["last_backup_timestamp_seconds", NAME, "full"] == began
    assert 0 <= values["last_backup_age_seconds", NAME, "full"] - int(before - began) <= took + 1
    assert values["last_backup_objects", NAME, "full"] == 4
    assert values["last_backup_size_bytes", NAME, "full"] > 1000 > values["last_backup_size_bytes", NAME, "incremental"]
    assert values["last_backup_has_manifests", NAME, "full"] == 0
    assert values["last_backup_verified_seconds", NAME, "full"] == READ
    assert values["last_backup_verified_seconds", NAME, "incremental"] == 0  # it was read, and was not well
    told = asked(local, "metrics")
    assert told["up"] is True
    assert [(one["kind"], one["timestamp"]) for one in told["last"]] == [("full", FULL), ("incremental", UPON)]


def test_a_file_is_replaced_as_a_whole(local: Plugin, tmp_path: Path) -> None:
    folder = tmp_path / "textfile"
    folder.mkdir()
    output = folder / "backups.prom"
    output.write_text("old")
    output.chmod(0o600)
    assert local.run("metrics", "--output", str(output)).succeeded().out == b""
    assert parsed(output.read_text())["up",] == 1
    assert output.stat().st_mode & 0o777 == 0o644
    assert list(folder.iterdir()) == [output]
    local.run("metrics", "--output", f"{folder}/missing/backups.prom").failed("can't write", status=1)
    local.run("metrics", "--output", str(folder)).failed("it is not a file", status=1)


def test_a_target_out_of_reach_is_down(local: Plugin, tmp_path: Path) -> None:
    options = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "key": "k", "secret": "s"}
    write_config(local.config, "s3://bucket/x", options, max_retries="1")
    output = tmp_path / "backups.prom"
    local.run("metrics", "--output", str(output)).failed(f"127.0.0.1:{closed_port()}", status=3)
    values = parsed(output.read_text())
    assert set(values) == {("up",), ("scrape_duration_seconds",)}
    assert values["up",] == 0
