"""The longest stream: 5 TiB through the code of an upload into a store that counts its parts and throws them away.

    .venv/bin/python -m benchmarks.longest_stream [--size 5T] [--pipe] [--folder /dev/shm]

The stream is a file without blocks, which takes no memory on tmpfs; `--pipe` sends it through `cat` and a pipe. The
store has S3's limits and S3's writer of parts, with all checksums. A line is printed whenever the parts get larger, and
every 512 GiB.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec_gp_plugin.checksum import combined, crc32c
from fsspec_gp_plugin.config.values import parse_size
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.storage.contract import ObjectInfo
from fsspec_gp_plugin.storage.multipart import MULTIPART, Begun, MultipartWriter
from fsspec_gp_plugin.storage.retry import with_retries
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from fsspec_gp_plugin.transfer.part_sizes import PartSchedule
from fsspec_gp_plugin.transfer.upload import UploadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

GIB = 1 << 30
MIB = 1 << 20
ROW = 512 * GIB
# So many parts before they get larger a line is printed: the buffers of the larger ones belong to the next line.
BEFORE = 6
HEAD = (
    f"{'up to GiB':>10} {'parts':>6} {'of MiB':>7} {'peak MiB':>9} {'now MiB':>8}"
    f" {'s/GiB':>7} {'CPU s/GiB':>9} {'minutes':>8}"
)


@dataclass
class Progress:
    """What the store has counted, and a line for each stretch of the stream."""

    started: float = field(default_factory=time.monotonic)
    parts: int = 0
    size: int = 0
    largest: int = 0
    peak: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    schedule: PartSchedule = field(
        default_factory=lambda: PartSchedule(UploadSettings().part_size, UploadSettings().concurrency, MULTIPART)
    )
    # Where the present stretch began: bytes, seconds, CPU seconds.
    since: tuple[int, float, float] = (0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Count from here."""
        read_and_reset_peak()
        self.since = 0, time.monotonic(), time.process_time()

    def count(self, number: int, size: int) -> None:
        """Count a part that has arrived."""
        with self.lock:
            self.parts += 1
            self.size += size
            self.largest = max(self.largest, size)
            grow = self.schedule.size(number + BEFORE) > self.schedule.size(number + BEFORE - 1) > 0
            if grow or self.size - self.since[0] >= ROW:
                self.print_row()

    def print_row(self) -> None:
        """Print the stretch that ends here, and begin another."""
        begun, wall, cpu = self.since
        gib = (self.size - begun) / GIB
        now, used, peak = time.monotonic(), time.process_time(), read_and_reset_peak()
        self.peak = max(self.peak, peak)
        if gib:
            say(
                f"{self.size / GIB:10.2f} {self.parts:6} {self.largest / MIB:7.0f} {peak:9.0f} {resident():8.0f}"
                f" {(now - wall) / gib:7.3f} {(used - cpu) / gib:9.3f} {(now - self.started) / 60:8.1f}"
            )
        self.since = self.size, now, used


class CountingStore(FakeStore):
    """A store with S3's limits that keeps nothing but the size of its last object."""

    def __init__(self, progress: Progress) -> None:
        """`progress` counts the parts."""
        super().__init__()
        self.capabilities = MULTIPART
        self.progress = progress
        self.stored: ObjectInfo | None = None

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        self.progress.count(1, len(data))
        self.stored = ObjectInfo(key, len(data), None, crc32c(data))
        return self.stored

    def begin(self, key: str) -> CountingWriter:
        return CountingWriter(self, key)


class CountingWriter(MultipartWriter):
    """S3's writer of parts, whose requests are only counted."""

    def __init__(self, store: CountingStore, key: str) -> None:
        """Touches nothing yet."""
        super().__init__(key, key)
        self._store = store

    def _writing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _create(self) -> Begun:
        return Begun("upload", crc=True, full=True)

    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        del begun, crc
        self._store.progress.count(number, len(data))
        return f"{number:032x}", True

    def _finish(self, begun: Begun, size: int, *, again: bool) -> None:
        del begun, again
        parts = [part.size for part in self._parts.values()]
        if sum(parts) != size or sorted(self._parts) != list(range(1, len(parts) + 1)):
            raise RuntimeError(f"{len(parts)} parts of {sum(parts)} bytes are not the {size} bytes of the stream")

    def _compare(self, written: ObjectInfo) -> ObjectInfo:
        self._store.stored = written
        return written

    def _write_nothing(self) -> ObjectInfo:
        return self._store.put(self._key, memoryview(b""))

    def _abort(self, upload_id: str) -> None:
        del upload_id

    def _abort_all(self) -> None:
        pass

    def _remove_completed(self) -> None:
        self._store.stored = None


def say(line: str) -> None:
    """Print a line, though a command sends what is printed to its log."""
    print(line, file=sys.__stdout__, flush=True)


def resident() -> float:
    """MiB of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / MIB


def read_and_reset_peak() -> float:
    """The most MiB that were in memory since the last call."""
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak / 1024


def crc_of_zeros(size: int) -> int:
    """The CRC-32C of so many zeros, by doubling: another way than by the parts of the stream."""
    whole, piece, length = 0, crc32c(b"\0"), 1
    while size:
        if size & 1:
            whole = combined(whole, piece, length)
        piece, length, size = combined(piece, piece, length), 2 * length, size >> 1
    return whole


@contextmanager
def open_stream(folder: Path, size: int, *, pipe: bool) -> Iterator[int]:
    """A descriptor from which so many zeros come."""
    path = folder / "stream"
    path.touch()
    os.truncate(path, size)
    if pipe:
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise RuntimeError("cat has no output")
            yield process.stdout.fileno()
        return
    with open(path, "rb", buffering=0) as file:
        yield file.fileno()


def main() -> None:
    """Send the stream once and print what it cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.longest_stream")
    parser.add_argument("--size", type=parse_size, default="5T", help="of the stream (%(default)s)")
    parser.add_argument("--pipe", action="store_true", help="through a pipe, as gpbackup gives it")
    parser.add_argument("--folder", type=Path, default="/dev/shm", help="of the empty file (%(default)s)")  # noqa: S108
    asked = parser.parse_args()
    # As Ctrl-C: what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longest-stream-", dir=asked.folder)))
        config = folder / "config.yaml"
        config.write_text("executablepath: /bin/true\noptions:\n  url: s3://bucket/folder\n", encoding="ascii")
        source = stack.enter_context(open_stream(folder, asked.size, pipe=asked.pipe))
        say(f"before the stream: {resident():.0f} MiB in memory\n{HEAD}")
        store = CountingStore(progress := Progress())
        context = Context(
            Streams(source, 1, 2),
            Log(str(folder)),
            "backup_data",
            str(config),
            with_retries(store, RetryPolicy(outage=330)),
        )
        sent = context.send(source, "stream")
        progress.print_row()
        minutes = (time.monotonic() - progress.started) / 60
    say(
        f"{sent.size} bytes in {progress.parts} parts, the largest of {progress.largest / MIB:.0f} MiB; "
        f"{minutes:.1f} minutes, {asked.size / GIB / 60 / minutes:.2f} GiB/s, peak {progress.peak:.0f} MiB"
    )
    if sent.size != asked.size or sent.crc32c != crc_of_zeros(asked.size) or store.stored != sent:
        say("these are not the bytes of the stream")
        sys.exit(1)
    say(f"CRC-32C {sent.crc32c:08x}, as computed in another way")


if __name__ == "__main__":
    main()
