"""backup_data, restore_data and restore_data_subset, as the server and gpbackup_helper run them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.conftest import PART

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.mark.with_agent
@pytest.mark.parametrize(
    "size",
    [pytest.param(0, marks=pytest.mark.every_target), PART, pytest.param(PART + 1, marks=pytest.mark.every_target)],
)
def test_a_stream_comes_back_byte_for_byte(plugin: Plugin, target: Target, size: int) -> None:
    """tests/unit/test_upload.py has more sizes."""
    data = os.urandom(size)
    path = plugin.database.table()
    assert plugin.run("backup_data", path, stdin=data).succeeded().out == b""
    assert target.keys() == [plugin.database.key(path)]
    assert plugin.run("restore_data", path).succeeded().out == data


@pytest.mark.with_agent
@pytest.mark.parametrize(
    ("pack", "unpack", "suffix"),
    [
        ("gzip -c -1", "gzip -d -c", ".gz"),
        ("zstd --compress -1 -c", "zstd --decompress -c", ".zst"),
    ],
)
def test_a_table_goes_through_a_compressor_as_copy_program_pipes_it(
    plugin: Plugin, pack: str, unpack: str, suffix: str
) -> None:
    rows = b"".join(b"%d\tsome text of a row\t%d\n" % (number, number * 7919) for number in range(100_000))
    path = plugin.database.table(suffix=suffix)
    with open(plugin.config, "rb") as inherited:
        saved = plugin.server(f"{pack} | {plugin.command('backup_data', path)}", descriptors=[inherited.fileno()])
        out, err = saved.communicate(rows, timeout=120)
    assert (saved.returncode, out, err) == (0, b"", b"")
    line = f"{plugin.command('restore_data', path)} | {unpack}"
    restored = plugin.server(line, stdin=subprocess.DEVNULL)
    out, err = restored.communicate(timeout=120)
    assert (restored.returncode, err) == (0, b"")
    assert out == rows


@pytest.mark.with_agent
@pytest.mark.every_target
def test_many_streams_at_once(plugin: Plugin, target: Target) -> None:
    count = 8 if target.kind in ("file", "s3") else 4
    streams = {plugin.database.table(16384 + n, segment=n % 2): os.urandom(3_000_000 + n) for n in range(count)}

    def each(work: object, results: dict[str, tuple[int, bytes, bytes]], give: bool) -> None:
        def run(path: str) -> None:
            process = plugin.server(plugin.command(str(work), path))
            out, err = process.communicate(streams[path] if give else None, timeout=120)
            results[path] = (process.returncode, out, err)

        threads = [threading.Thread(target=run, args=(path,)) for path in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    saved: dict[str, tuple[int, bytes, bytes]] = {}
    each("backup_data", saved, give=True)
    assert set(saved.values()) == {(0, b"", b"")}
    assert len(target.keys()) == count
    restored: dict[str, tuple[int, bytes, bytes]] = {}
    each("restore_data", restored, give=False)
    assert restored == {path: (0, data, b"") for path, data in streams.items()}


def peak_memory(pid: int) -> int:
    """The most bytes that the process ever had resident. (Its rusage would count what its parent had at the fork.)"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@pytest.mark.every_target
def test_the_memory_of_a_stream_is_bounded_and_does_not_grow_with_it(plugin: Plugin, target: Target) -> None:
    """With a stream larger than the bound where that is quick; tests/agent/test_load.py looks at an agent's workers."""
    blocks = 320 if target.kind in ("file", "s3") else 96
    block = os.urandom(1 << 20)
    path = plugin.database.file(f"gpbackup_0_{plugin.database.timestamp}")
    sent, got = hashlib.blake2b(), hashlib.blake2b()
    early: dict[int, int] = {}

    def look(pid: int, number: int) -> None:
        """Compare the memory when all buffers are in use with that near the end."""
        if number == 40:
            early[pid] = peak_memory(pid)
        elif number == blocks - 8:
            assert peak_memory(pid) < min(256 << 20, early[pid] + (32 << 20))

    with plugin.start("backup_data", path) as saved:
        assert saved.stdin is not None
        for number in range(blocks):
            look(saved.pid, number)
            head = number.to_bytes(8, "big")
            sent.update(head + block[8:])
            saved.stdin.write(head + block[8:])
        _, err = saved.communicate()
    assert (saved.returncode, err) == (0, b"")
    with plugin.start("restore_data", path) as restored:
        assert restored.stdout is not None
        for number in range(blocks):
            look(restored.pid, number)
            got.update(restored.stdout.read(1 << 20))
        rest, err = restored.communicate()
    assert (restored.returncode, rest, err) == (0, b"", b"")
    assert got.digest() == sent.digest()


@pytest.mark.with_agent
def test_a_segment_restores_another_contents_file(plugin: Plugin) -> None:
    plugin.run("backup_data", plugin.database.table(segment=1), stdin=b"data of content 1").succeeded()
    elsewhere = plugin.database.table(segment=1).replace("/gpseg1/", "/gpseg0/")
    assert plugin.run("restore_data", elsewhere).succeeded().out == b"data of content 1"


@pytest.mark.with_agent
@pytest.mark.every_target
def test_a_missing_object_is_reported_at_once_and_nothing_is_written(plugin: Plugin) -> None:
    started = time.monotonic()
    result = plugin.run("restore_data", plugin.database.table()).failed("no such object", status=1)
    assert time.monotonic() - started < 20  # no outage is waited for
    assert result.out == b""


@pytest.mark.with_agent
@pytest.mark.every_target
def test_a_reader_that_closes_early_ends_the_restore_quietly_at_once(plugin: Plugin) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=os.urandom(40_000_000)).succeeded()
    line = f"{plugin.command('restore_data', path)} | head -c 10 | wc -c; echo ${{PIPESTATUS[0]}}"
    started = time.monotonic()
    assert plugin.shell(line).succeeded().out.split() == [b"10", b"0"]
    assert time.monotonic() - started < 20
    assert "ended early" in plugin.database.log()


@pytest.mark.with_agent
@pytest.mark.every_target
def test_a_subset_is_just_its_ranges(plugin: Plugin, tmp_path: Path) -> None:
    data = os.urandom(12_000_000)
    path = plugin.database.file(f"gpbackup_0_{plugin.database.timestamp}")
    plugin.run("backup_data", path, stdin=data).succeeded()
    for offsets, spans in (
        ("1 3 10", [(3, 10)]),
        ("2 0 700000 900000 900001", [(0, 700_000), (900_000, 900_001)]),
        ("0", []),
        ("3 0 1 5000000 9000000 11999999 12000000\n", [(0, 1), (5_000_000, 9_000_000), (11_999_999, 12_000_000)]),
    ):
        (tmp_path / "offsets").write_text(offsets)
        result = plugin.run("restore_data_subset", path, str(tmp_path / "offsets")).succeeded()
        assert result.out == b"".join(data[start:end] for start, end in spans), offsets


@pytest.mark.with_agent
def test_a_subset_that_cannot_be_is_refused(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=b"0123456789").succeeded()
    offsets = tmp_path / "offsets"
    plugin.run("restore_data_subset", path, str(offsets)).failed("can't read the offsets file", str(offsets))
    for text, words in (("1 5 11", "which has 10"), ("nonsense", "not a number"), ("2 0 1", "announces 2 ranges")):
        offsets.write_text(text)
        assert plugin.run("restore_data_subset", path, str(offsets)).failed(words).out == b""


@pytest.mark.with_agent
def test_standard_input_that_is_closed_is_an_error_not_an_empty_backup(plugin: Plugin, target: Target) -> None:
    plugin.shell(f"{plugin.command('backup_data', plugin.database.table())} <&-").failed("can't read the input")
    assert target.keys() == []


@pytest.mark.with_agent
def test_standard_output_that_is_closed_or_full_is_an_error(plugin: Plugin) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=b"some data").succeeded()
    plugin.shell(f"{plugin.command('restore_data', path)} >&-").failed("can't write the output")
    plugin.shell(f"{plugin.command('restore_data', path)} > /dev/full").failed("can't write the output", "No space")
