"""Servers that end in mid-stream and come back: that ends all connections, also those that pass no proxy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import digest, end, make_database, take
from tests.protocol.caller import Plugin, write_config

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 30_000_000


@pytest.mark.parametrize("kind", ["ftp", "ftp_tls", "smb"])
def test_both_ways_survive_a_server_that_is_killed_and_started_again(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    server = request.getfixturevalue(kind)
    database = make_database(tmp_path / "host")
    settings = {"timeout": "5s", "backup_multipart_chunksize": "5MB", "restore_multipart_chunksize": "5MB"}
    config = write_config(database.folder / "c.yaml", f"{server.url}/killed", server.options, **settings)
    plugin = Plugin(database, config)
    data = os.urandom(SIZE)
    saving = plugin.start("backup_data", database.table())
    assert saving.stdin is not None
    saving.stdin.write(data[: SIZE // 2])
    saving.stdin.flush()
    server.program.kill()
    server.program.start()
    end(saving, data[SIZE // 2 :]).succeeded()
    restoring = plugin.start("restore_data", database.table())
    head = take(restoring, SIZE // 3)
    server.program.kill()
    server.program.start()
    assert digest(head + end(restoring).succeeded().out) == digest(data)
