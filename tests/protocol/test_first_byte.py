"""A single data file that gzip has compressed, and that can't give its first byte: gprestore must not wait for ever."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.gzip_header import HEADER

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

HELPER = Path(__file__).with_name("stand_in_helper.py")
ROWS = os.urandom(2000)
SECONDS = 60


@pytest.fixture
def stored(plugin: Plugin) -> str:
    """The path of a segment's data, the object of which is smaller than what is held back until it is compared."""
    path = plugin.database.file(f"gpbackup_0_{plugin.database.timestamp}.gz")
    plugin.run("setup_plugin_for_backup", plugin.database.directory(-1), "master").succeeded()
    plugin.run("backup_data", path, stdin=gzip.compress(ROWS)).succeeded()
    plugin.run("cleanup_plugin_for_backup", plugin.database.directory(-1), "master").succeeded()
    return path


def restored(plugin: Plugin, path: str, tmp_path: Path) -> tuple[int, bytes]:
    """The status of gpbackup_helper, and what `cat` has given to the table; TimeoutExpired where it waits for ever."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    plugin.database.called("restore_data")
    # The environment is the plugin's, in which no other Python runs.
    environment = [f"{name}={value}" for name, value in plugin.database.environment().items()]
    command = ["env", "-i", *environment, str(plugin.executable), "restore_data", str(plugin.config), path]
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as cat:
        try:
            helper = subprocess.run(
                [sys.executable, str(HELPER), str(fifo), *command],
                timeout=SECONDS,
                check=False,
            )
            return helper.returncode, cat.communicate(timeout=SECONDS)[0]
        finally:
            cat.kill()


@pytest.mark.with_agent
def test_one_that_is_there_is_restored(plugin: Plugin, stored: str, tmp_path: Path) -> None:
    assert restored(plugin, stored, tmp_path) == (0, ROWS)


@pytest.mark.with_agent
@pytest.mark.parametrize("fault", ["missing", "other bytes", "another size", "configuration"])
def test_one_that_fails_before_its_first_byte_ends_the_restore(
    plugin: Plugin, target: Target, stored: str, tmp_path: Path, fault: str
) -> None:
    key = plugin.database.key(stored)
    data = gzip.compress(ROWS)
    with target.store() as store:
        if fault == "missing":
            store.delete([key])
        elif fault == "configuration":
            plugin.config.write_text("nothing that can be used")
        else:
            store.put(key, memoryview(bytes(len(data)) if fault == "other bytes" else data[:-1]))
    assert restored(plugin, stored, tmp_path) == (1, b"")
    result = plugin.run("restore_data", stored).failed()
    assert result.out == HEADER
    # Where a cluster of another size is restored, gpbackup_helper reads the data of tables, too.
    assert plugin.run("restore_data", plugin.database.table(suffix=".gz")).failed().out == HEADER
    for path in (plugin.database.table(suffix=".zst"), plugin.database.table()):
        assert plugin.run("restore_data", path).failed().out == b""


def test_a_header_alone_is_an_error_to_every_reader() -> None:
    done = subprocess.run(["gzip", "-d", "-c"], input=HEADER, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"unexpected end of file" in done.stderr
    with pytest.raises(EOFError):
        gzip.GzipFile(fileobj=io.BytesIO(HEADER)).read()
    unfinished = zlib.decompressobj(31)
    assert unfinished.decompress(HEADER) == b""
    assert not unfinished.eof
