"""Copies between descriptors, by the kernel and by hand."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import LocalFileError, ReaderGone, StorageError
from fsspec_gp_plugin.transfer.descriptor_copy import DescriptorCopy
from fsspec_gp_plugin.transfer.descriptor_io import input_failed, output_failed
from fsspec_gp_plugin.transfer.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = os.urandom(3_000_001)


def copying(*, checksum: bool, rate: int | None = None, check: Callable[[], None] = lambda: None) -> DescriptorCopy:
    return DescriptorCopy(Throttle(rate), checksum=checksum, reading=input_failed, writing=output_failed, check=check)


def fed(data: bytes) -> int:
    """The reading end of a pipe that a thread fills."""
    read, write = os.pipe()

    def feed() -> None:
        with open(write, "wb") as file:
            file.write(data)

    threading.Thread(target=feed).start()
    return read


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("source", ["pipe", "file"])
def test_everything_until_the_end_arrives(tmp_path: Path, source: str, checksum: bool) -> None:
    (tmp_path / "source").write_bytes(DATA)
    fd = fed(DATA) if source == "pipe" else os.open(tmp_path / "source", os.O_RDONLY)
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)
    done = copying(checksum=checksum)
    done.run(fd, sink)
    os.close(fd)
    os.close(sink)
    assert (tmp_path / "sink").read_bytes() == DATA
    assert (done.written, done.crc32c) == (len(DATA), crc32c(DATA) if checksum else None)


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("blocking", [True, False])
def test_a_range_goes_into_a_pipe_that_is_read_slowly(tmp_path: Path, checksum: bool, blocking: bool) -> None:
    (tmp_path / "source").write_bytes(DATA)
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    os.lseek(fd, 1000, os.SEEK_SET)
    read, write = os.pipe()
    os.set_blocking(write, blocking)
    got = bytearray()

    def drain() -> None:
        while piece := os.read(read, 100_000):
            got.extend(piece)
            time.sleep(0.001)

    thread = threading.Thread(target=drain)
    thread.start()
    copying(checksum=checksum).run(fd, write, 2_000_000)
    os.close(write)
    thread.join()
    os.close(read)
    os.close(fd)
    assert bytes(got) == DATA[1000:2_001_000]


@pytest.mark.parametrize("checksum", [True, False])
def test_a_source_that_does_not_block_is_waited_for(tmp_path: Path, checksum: bool) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)

    steps: list[None] = []

    def feed() -> None:
        seen = 0
        for piece in (b"first, ", b"second"):
            while len(steps) == seen:
                time.sleep(0.001)
            time.sleep(0.05)  # in which one that doesn't wait takes thousands of steps
            seen = len(steps)
            os.write(write, piece)
        os.close(write)

    threading.Thread(target=feed).start()
    copying(checksum=checksum, check=lambda: steps.append(None)).run(read, sink)
    # Two for each piece, and for the end: one that finds nothing, and one that finds it.
    assert len(steps) <= 6
    os.close(read)
    os.close(sink)
    assert (tmp_path / "sink").read_bytes() == b"first, second"


@pytest.mark.parametrize("checksum", [True, False])
def test_an_error_of_the_input_is_not_the_outputs(tmp_path: Path, checksum: bool) -> None:
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)
    closed = os.open("/dev/null", os.O_WRONLY)
    with pytest.raises(LocalFileError, match="can't read the input"):
        copying(checksum=checksum).run(closed, sink)
    os.close(closed)
    os.close(sink)


def test_what_the_kernel_cannot_copy_is_copied_by_hand(tmp_path: Path) -> None:
    """It appends to no file that was opened for it."""
    (tmp_path / "sink").write_bytes(b"before, ")
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_APPEND)
    source = fed(DATA)
    copying(checksum=False).run(source, sink)
    os.close(source)
    os.close(sink)
    assert (tmp_path / "sink").read_bytes() == b"before, " + DATA


@pytest.mark.parametrize("checksum", [True, False])
def test_a_reader_that_has_gone_ends_it(tmp_path: Path, checksum: bool) -> None:
    (tmp_path / "source").write_bytes(DATA)
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(ReaderGone):
        copying(checksum=checksum).run(fd, write, len(DATA))
    os.close(fd)
    os.close(write)


@pytest.mark.parametrize("checksum", [True, False])
def test_a_source_that_ends_early_is_an_error(tmp_path: Path, checksum: bool) -> None:
    (tmp_path / "source").write_bytes(DATA)
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(StorageError, match="ends 5 bytes early"):
        copying(checksum=checksum).run(fd, sink, len(DATA) + 5)
    os.close(fd)
    os.close(sink)


@pytest.mark.parametrize("checksum", [True, False])
def test_it_stops_when_it_is_told_to(tmp_path: Path, checksum: bool) -> None:
    (tmp_path / "source").write_bytes(DATA)
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)
    calls: list[None] = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise StorageError("aborted")

    done = copying(checksum=checksum, check=check)
    with pytest.raises(StorageError, match="aborted"):
        done.run(fd, sink)
    os.close(fd)
    os.close(sink)
    assert 0 < done.written < len(DATA)


@pytest.mark.parametrize("checksum", [True, False])
def test_its_rate_is_limited(tmp_path: Path, checksum: bool) -> None:
    (tmp_path / "source").write_bytes(DATA[:1_000_000])
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    sink = os.open(tmp_path / "sink", os.O_WRONLY | os.O_CREAT)
    started = time.monotonic()
    copying(checksum=checksum, rate=2_000_000).run(fd, sink)
    os.close(fd)
    os.close(sink)
    assert 0.3 < time.monotonic() - started < 5
