"""The steps of `doctor` with objects: a small backup and restore, and how fast they are."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ...backups.from_config import download_settings, upload_settings
from ...backups.memory_filesystems import warn_of_spooling
from ...backups.probing import Probe
from ...backups.traffic import Content, Measured, Traffic
from ...config.values import format_size
from ...errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable

if TYPE_CHECKING:
    from ...config.loading import Config
    from ...storage.contract import Store
    from .steps import Step, Steps

TRYING = ["write", "create once", "multipart", "abort", "read", "read a range", "list", "delete", "latency"]
MEASURING = ["throughput up", "throughput down"]

_SMALL = 4096
_SMALL_OBJECTS = 5
# Streams of these sizes are sent until one takes long enough.
_STREAMS = (4 << 20, 32 << 20, 128 << 20)
_LONG_ENOUGH, _LONGEST_READ = 0.5, 4.0


class _Attempt:
    """The steps with a small and a large object; each returns its finding."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.notes: list[str] = []
        self._store = store
        self._prefix = prefix
        least = max(store.capabilities.min_part_size, _SMALL)
        self._parts = [os.urandom(least), os.urandom(least), os.urandom(_SMALL // 2)]
        self._size = format_size(sum(map(len, self._parts)))
        few = [b"".join([self._parts[0][:_SMALL], self._parts[2]])]
        self._large = Probe(store, prefix, "large", self._parts, self.notes.append)
        self._small = Probe(store, prefix, "small", few, self.notes.append)

    def abort(self) -> str:
        self._large.abort(self._parts[:2])
        self._large.require_absent()
        with suppress(AccessDenied):
            for info in self._store.find(self._prefix, unfinished=True):
                if info.key not in (self._small.written, self._large.written):
                    raise StorageError(
                        f"this target can't hold backups: {info.key} exists after its upload was aborted"
                    )
        return "an aborted upload leaves no object"

    def write(self) -> str:
        self._small.write()
        return "a small object"

    def create(self) -> str:
        """Create a key twice, as a claim is created: only the refusal of the second proves that the store can do it."""
        key, data = f"{self._prefix}created", memoryview(b"one")
        try:
            if self._store.capabilities.creates:
                self._store.create(key, data)
                try:
                    self._store.create(key, memoryview(b"another"))
                except AlreadyExists:
                    return "an object is created only if the key is free"
        except (AccessDenied, Unreachable):
            raise
        except StorageError as error:
            self.notes.append(f"the store can't create an object only if the key is free: {error}")
        finally:
            with suppress(StorageError):  # the last step reports what stays
                self._store.delete([key])
        self.notes.append(
            "if two clusters start a backup in the same second, the store can't decide which was first; "
            "give each cluster a `url` of its own"
        )
        return ""

    def write_parts(self) -> str:
        self._large.write_parts()
        warn_of_spooling(self._store, self._large.abort, self.notes.append)
        return f"{len(self._parts)} parts, {self._size}"

    def read(self) -> str:
        self._small.read_back()
        self._large.read_back()
        return f"{self._size} came back unchanged"

    def read_range(self) -> str:
        self._large.read_range()
        return "exactly the requested bytes"

    def list(self) -> str:
        self._large.list()
        return "the written objects are listed with their sizes"

    def delete(self) -> str:
        self._large.delete()
        self._small.delete()
        if not self.notes:
            with suppress(AccessDenied):
                _require_gone(self._store, self._large.written)
        return "the written objects are gone"


def _require_gone(store: Store, key: str) -> None:
    try:
        store.stat(key)
    except NotFound:
        return
    raise StorageError(f"{key} is still there after it was deleted: the store retains it")


def try_each(steps: Steps, store: Store, prefix: str) -> bool:
    """Try all steps with objects; returns whether none failed."""
    attempt = _Attempt(store, prefix)
    works = True
    for name, work in zip(
        TRYING,
        (
            attempt.write,
            attempt.create,
            attempt.write_parts,
            attempt.abort,
            attempt.read,
            attempt.read_range,
            attempt.list,
            attempt.delete,
        ),
        strict=False,
    ):
        if not works:
            steps.skip([name], "an earlier step failed")
            continue
        attempt.notes.clear()
        with steps.trying(name) as step:
            step.finding = work()
            for note in dict.fromkeys(attempt.notes):
                step.warn(note)
        works = step.status != "failed"
    if works:
        with steps.trying("latency") as step:
            _latency(step, store, prefix)
    else:
        steps.skip(["latency"], "an earlier step failed")
    return works


def _latency(step: Step, store: Store, prefix: str) -> None:
    """Measure the median latency of a few small objects."""
    keys = [f"{prefix}latency_{number}" for number in range(_SMALL_OBJECTS)]
    data, into = memoryview(os.urandom(_SMALL)), memoryview(bytearray(_SMALL))
    puts, gets = [], []
    for key in keys:
        started = time.perf_counter()
        store.put(key, data)
        puts.append(time.perf_counter() - started)
    with suppress(AccessDenied):
        for key in keys:
            started = time.perf_counter()
            for _ in store.fetch(key, into)[1]:
                pass
            gets.append(time.perf_counter() - started)
    with suppress(StorageError):  # the last step reports what stays
        store.delete(keys)
    step.figures["put_seconds"] = round(statistics.median(puts), 4)
    step.finding = f"4 KB: put {statistics.median(puts) * 1000:.1f} ms"
    if gets:
        step.figures["get_seconds"] = round(statistics.median(gets), 4)
        step.finding += f", get {statistics.median(gets) * 1000:.1f} ms"


def measure(steps: Steps, store: Store, prefix: str, config: Config) -> None:
    """Measure one stream up and down with the configured settings."""
    key = f"{prefix}stream"
    with steps.trying("throughput up") as step:
        traffic = Traffic(store, step.warn)
        for size in _STREAMS:
            content = Content(size)
            try:
                content.renew()
                taken = traffic.up([key], size, content, upload_settings(config))
            finally:
                content.close()
            if taken.seconds > _LONG_ENOUGH:
                break
        _record(step, taken)
    if step.status == "failed":
        steps.skip(["throughput down"], "an earlier step failed")
        return
    with steps.trying("throughput down") as step:
        try:
            _record(step, traffic.down([key], download_settings(config), _LONGEST_READ))
        except AccessDenied as error:
            step.warn(f"these credentials can't read: {error}")
        with suppress(StorageError):
            store.delete([key])


def _record(step: Step, taken: Measured) -> None:
    step.figures = {
        "bytes": taken.size,
        "seconds": round(taken.seconds, 3),
        "bytes_per_second": round(taken.rate),
        "cpu_seconds": round(taken.cpu, 3),
    }
    step.finding = (
        f"{format_size(taken.rate)}/s for one stream ({format_size(taken.size)} in {taken.seconds:.1f} s, "
        f"CPU {taken.cpu:.1f} s)"
    )
