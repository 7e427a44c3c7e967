"""gpbackup's record of a backup, as its YAML library writes it."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.config_reading import read_backup_config
from fsspec_gp_plugin.backups.gpbackup_files import BackupConfig, BadBackupConfigError, parse_backup_config
from fsspec_gp_plugin.backups.restore_plans import read_needed
from fsspec_gp_plugin.keys import backup_prefix
from tests.fakes import FakeStore

T, BASE, EMPTY = "20260103000000", "20260101000000", "20260102000000"
RECORD = f"""\
backupdir: ""
compressed: true
compressiontype: zstd
databasename: |-
  "segmentcount: 7
  restoreplan:
  - timestamp: "20200101000000"

  "
databaseversion: PostgreSQL 9.4.26 (Greenplum Database) compiled on a machine
  segmentcount: 9
segmentcount: 3
includerelations:
- 'segmentcount: 8'
metadataonly: false
restoreplan:
- timestamp: "{BASE}"
  tablefqns:
  - public.a
  - |-
    public."
    - timestamp: "20200101000000"

    "
- timestamp: "{EMPTY}"
  tablefqns: []
- timestamp: {T}
  tablefqns:
  - 'public."  - timestamp: x a very long name
    timestamp: 20200101000000"'
singledatafile: true
timestamp: "{T}"
withstatistics: true
status: Success
"""


def lines(text: str) -> list[bytes]:
    return text.encode().split(b"\n")


def test_what_a_record_says() -> None:
    plan = {BASE: True, EMPTY: False, T: True}
    assert parse_backup_config("k", lines(RECORD)) == BackupConfig(3, ".zst", True, False, True, "Success", plan)


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("compressed: false\ncompressiontype: gzip\n", ""),
        ("compressed: true\n", ".gz"),
        ('compressed: true\ncompressiontype: ""\n', ".gz"),
        ("compressed: true\ncompressiontype: gzip\n", ".gz"),
        ("compressed: true\ncompressiontype: lz4\n", None),
    ],
)
def test_how_the_names_of_data_objects_end(text: str, suffix: str | None) -> None:
    assert parse_backup_config("k", lines(text)) == BackupConfig(suffix=suffix)


def test_the_backups_that_a_restore_reads() -> None:
    store = FakeStore()
    store.objects[f"{backup_prefix(T)}gpbackup_{T}_config.yaml"] = RECORD.encode()
    assert read_needed(store, T) == {BASE, EMPTY}
    assert read_backup_config(store, T).segments == 3


@pytest.mark.parametrize(
    "plan",
    [
        "- timestamp: 2026\n",
        "- tablefqns: []\n",
        "  - timestamp: 20260101000000\n",
        f"- timestamp: {T}\n<html>\n",
        "".join(f"- timestamp: {20260101000000 + number}\n" for number in range(1002)),
    ],
    ids=["no timestamp", "without one", "of another layout", "other lines", "too long"],
)
def test_a_damaged_plan_tells_nothing(plan: str) -> None:
    with pytest.raises(BadBackupConfigError, match="k: its restoreplan is damaged"):
        parse_backup_config("k", lines("restoreplan:\n" + plan + "status: Success\n"))


def test_a_record_without_a_plan_is_not_gpbackups() -> None:
    store = FakeStore()
    store.objects[f"{backup_prefix(T)}gpbackup_{T}_config.yaml"] = b"timestamp: 1\n"
    with pytest.raises(BadBackupConfigError, match="has no restoreplan"):
        read_needed(store, T)


def test_where_nothing_tells_what_is_read_it_may_be_anything() -> None:
    assert parse_backup_config("k", lines(f"restoreplan:\n- timestamp: {T}\n")).plan == {T: True}
