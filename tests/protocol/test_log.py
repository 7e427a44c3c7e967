"""The log in ~/gpAdminLogs."""

from __future__ import annotations

import os
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import unique_prefix
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from tests.protocol.caller import Database
    from tests.protocol.conftest import Target
    from tests.servers.gcs import Gcs

LINE = re.compile(
    r"[0-9]{8}:[0-9]{2}:[0-9]{2}:[0-9]{2} fsspec_gp_plugin:[^: ]+:[^: ]+:[0-9]{6,}-\[(INFO|DEBUG|ERROR)\]:-(.+)"
)


def name_at_noon(database: Database) -> str:
    """The name of today's log on a host where it is about noon, so that today is not over before the test is."""
    west = time.gmtime().tm_hour - 12
    database.extra["TZ"] = f"NOON{west}"
    return time.strftime("fsspec_gp_plugin_%Y%m%d.log", time.gmtime(time.time() - west * 3600))


@pytest.mark.with_agent
def test_a_command_is_one_line_with_object_bytes_seconds_and_rate(plugin: Plugin) -> None:
    database = plugin.database
    name = name_at_noon(database)
    path = database.table()
    plugin.run("backup_data", path, stdin=b"x" * 1000).succeeded()
    plugin.run("restore_data", path).succeeded()
    plugin.run("restore_data", path + "0").failed()
    names = os.listdir(database.folder / "home/gpAdminLogs")
    assert names == [name]
    matches = [LINE.fullmatch(line) for line in database.log().splitlines()]
    assert all(matches), database.log()
    saved, looked, restored, failed = (match.groups() for match in matches if match)
    assert looked[1].endswith(": restored unverified, as there is no manifest of it")
    key = re.escape(database.key(path))
    for (level, text), command, end in ((saved, "backup_data", ""), (restored, "restore_data", ", unverified")):
        assert level == "INFO"
        assert re.fullmatch(
            rf"{command} {key}: 1000 bytes in [0-9.]+ s, [0-9.]+ [KMG]?B/s, crc32c [0-9a-f]{{8}}{end}", text
        ), text
    assert failed[0] == "ERROR"
    assert failed[1].startswith("restore_data failed: can't find ")


@pytest.mark.parametrize(("verbosity", "lines"), [("error", 0), ("info", 1), ("verbose", 1)])
def test_the_verbosity_decides_what_is_logged(target: Target, database: Database, verbosity: str, lines: int) -> None:
    config = write_config(database.folder / "c.yaml", target.url, target.options, logger_verbosity=verbosity)
    Plugin(database, config).run("backup_data", database.table(), stdin=b"x").succeeded()
    assert len(database.log().splitlines()) == lines


@pytest.mark.parametrize("how", ["no home", "a file", "read-only", "full"])
def test_a_log_that_cannot_be_written_fails_no_backup(local: Plugin, how: str) -> None:
    database = local.database
    if how == "no home":
        database.extra["HOME"] = "/nonexistent/home"
    elif how == "a file":
        (database.folder / "home/gpAdminLogs").write_text("in the way")
    elif how == "read-only":
        (database.folder / "home").chmod(0o500)
    else:
        name = name_at_noon(database)
        (database.folder / "home/gpAdminLogs").mkdir()
        (database.folder / "home/gpAdminLogs" / name).symlink_to("/dev/full")
    # Without a home nothing else can be noted, either.
    text = local.config.read_text()
    if how in ("no home", "read-only"):
        local.config.write_text(text.replace('"options":', '"options":\n  "checksum": "off"'))
    line = f"cd /; {local.command('backup_data', database.table())}"
    try:
        local.shell(line, b"data").succeeded()
        assert local.run("restore_data", database.table()).succeeded().out == b"data"
    finally:
        (database.folder / "home").chmod(0o700)
        if os.geteuid() == 0:
            shutil.rmtree("/nonexistent/home", ignore_errors=True)  # only root can make it


@pytest.mark.with_agent
def test_secrets_reach_neither_log_nor_message(target: Target, database: Database) -> None:
    secret, token = "a-very-secret-value-1234", "another/secret+token=="
    options = {**target.options, "secret": secret, "token": token, "key": "the-access-key-id"}
    url = target.url if target.kind == "s3" else "s3://bucket/prefix"
    options.setdefault("endpoint_url", f"http://someone:{secret}@127.0.0.1:{closed_port()}")
    config = write_config(database.folder / "c.yaml", url, options, logger_verbosity="debug", max_retries=1)
    plugin = Plugin(database, config)
    told = ""
    for command, argument in (
        ("backup_data", database.table()),
        ("restore_data", database.table()),
        ("setup_plugin_for_backup", f"{database.directory()} master"),
        ("delete_backup", database.timestamp),
    ):
        told += plugin.run(command, argument, stdin=b"data").failed().err
    told += database.log()
    for word in (secret, token, "another%2Fsecret"):
        assert word not in told


def test_a_store_that_takes_no_parts_side_by_side_is_told_in_one_line(gcs: Gcs, database: Database) -> None:
    plugin = Plugin(database, write_config(database.folder / "c.yaml", f"{gcs.url}/{unique_prefix()}", gcs.options))
    plugin.run("backup_data", database.table(), stdin=b"x" * (20 << 20)).succeeded()
    told, done = database.log().splitlines()
    assert re.search(r"\[INFO\]:-can't begin an upload in parts of gs://.* 404.*; it goes in one session", told), told
    assert ":-backup_data " in done
