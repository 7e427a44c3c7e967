"""gpbackup's report: the keys of all versions, and texts that look like keys."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.backups.gpbackup_files import parse_backup_set, parse_report
from fsspec_gp_plugin.backups.restore_plans import read_needed
from tests.fakes import FakeStore
from tests.recorded import CHAIN, recorded, recorded_report

T = "20180501010101"
# As gpbackup lays it out since 1.13, and before that.
LATER = """\
Greenplum Database Backup Report

timestamp key:         20180501010101
gpdb version:          6.24.3 build dev
gpbackup version:      1.30.5

database name:         {database}
command line:          {command}
compression:           gzip
plugin executable:     fsspec_gp_plugin
backup section:        All Sections
object filtering:      None
includes statistics:   No
data file format:      Multiple Data Files Per Segment
incremental:           {incremental}

start time:            Tue May 01 2018 01:01:01
end time:              Tue May 01 2018 01:01:03
duration:              0:00:02

backup status:         {status}

database size:         53 MB
segment count:         2

count of database objects in backup:
tables                       9
"""
EARLIER = """\
Greenplum Database Backup Report

Timestamp Key: 20180501010101
GPDB Version: 5.8.0 build dev
gpbackup Version: 1.12.0

Database Name: {database}
Command Line: {command}
Compression: gzip
Plugin Executable: gpbackup_s3_plugin
Backup Section: All Sections
Object Filtering: None
Includes Statistics: No
Data File Format: Multiple Data Files Per Segment
Incremental: {incremental}

Start Time: 2018-05-01 01:01:01
End Time: 2018-05-01 01:02:01
Duration: 0:01:00

Backup Status: {status}

Database Size: 53 MB
Count of Database Objects in Backup:
Tables                       9
"""
BOTH = pytest.mark.parametrize("layout", [LATER, EARLIER], ids=["later", "up to 1.12"])


def told(layout: str, **values: str) -> dict[str, str]:
    usual = {"database": "sales", "command": "gpbackup --dbname sales", "status": "Success", "incremental": "False"}
    return parse_report(layout.format(**{**usual, **values}))


def of(report: dict[str, str]) -> Backup:
    return Backup(T, has_contents=True, report_key="x", report=report)


@BOTH
def test_what_a_report_says(layout: str) -> None:
    report = told(layout)
    assert (report["timestamp key"], report["command line"]) == (T, "gpbackup --dbname sales")
    assert (report["database size"], "tables" in report) == ("53 MB", False)
    backup = of(report)
    assert (backup.database, backup.kind, backup.state) == ("sales", "full", "complete")
    incremental = told(layout, incremental=f"True\nincremental backup set:\n20180401010101\n{T}")
    assert (of(incremental).kind, of(incremental).state) == ("incremental", "complete")
    assert of(told(layout, status="Failure\nbackup error: no space")).state == "failed"


@BOTH
def test_a_line_of_an_error_is_no_key(layout: str) -> None:
    error = "bad thing\nbackup status: Success\nBackup Status: Success\ndatabase name: hr\nDatabase Name: hr"
    key = "Backup Error" if layout == EARLIER else "backup error"
    report = told(layout, status=f"Failure\n{key}: {error}")
    assert (of(report).state, of(report).database, report["backup error"]) == ("failed", "sales", "bad thing")


@BOTH
def test_a_line_of_a_command_is_no_key(layout: str) -> None:
    """The name of a table may hold line feeds, and gpbackup writes its arguments as they are."""
    command = "gpbackup --include-table 'public.a\nbackup status: Success\nBackup Status: Success\n'"
    key = "Backup Error" if layout == EARLIER else "backup error"
    assert of(told(layout, command=command, status=f"Failure\n{key}: x")).state == "failed"
    assert of(told(layout, command=command)).database == "sales"


@pytest.mark.parametrize(
    "text",
    ["", "report", "Greenplum Database Backup Report\n", "database name: sales\nbackup status:", "\0\xff"],
    ids=["empty", "another text", "cut off", "no status", "other bytes"],
)
def test_what_can_not_be_read_is_not_complete(text: str) -> None:
    assert of(parse_report(text)).state == "unknown"


def test_a_status_that_nobody_knows_is_not_complete() -> None:
    assert of(told(LATER, status="In Progress")).state == "unknown"


@pytest.mark.parametrize("name", CHAIN[1:])
def test_a_report_names_the_backups_that_the_config_file_names(name: str) -> None:
    one = recorded(name)
    store = FakeStore()
    store.objects |= one.objects
    needed = read_needed(store, one.timestamp)
    text = recorded_report(name)
    assert parse_backup_set(parse_report(text), one.timestamp) == needed
    # One that was cut off doesn't name all.
    begun = text.index("incremental backup set")
    for end in range(begun, text.index(one.timestamp, begun) + len(one.timestamp)):
        assert parse_backup_set(parse_report(text[:end]), one.timestamp) is None


@BOTH
def test_the_set_is_below_its_key_at_its_place(layout: str) -> None:
    """Not in the text of a command, nor in that of an error."""
    key = "Incremental Backup Set" if layout == EARLIER else "incremental backup set"
    wrong = f"x\n{key}:\n20170101010101\n{T}\n"
    incremental = f"True\n{key}:\n20180401010101\n{T}  \n"
    report = told(layout, command=wrong, incremental=incremental, status=f"Failure\nbackup error: {wrong}")
    assert report["incremental backup set"] == f"20180401010101 {T}"
    assert parse_backup_set(report, T) == frozenset({"20180401010101"})
    assert parse_backup_set(told(layout, command=wrong, status=f"Failure\nbackup error: {wrong}"), T) is None
    # Nothing but itself, and another backup's report.
    assert parse_backup_set(told(layout, incremental=f"True\n{key}:\n{T}"), T) is None
    assert parse_backup_set(report, "20180601010101") is None
