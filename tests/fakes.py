"""A Store in memory with scripted faults, and an alarm that a test rings, for tests of the transfer engine."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from fsspec_gp_plugin.errors import AlreadyExists, Interrupted, NotFound, ObjectChanged, StorageError
from fsspec_gp_plugin.storage.contract import Capabilities, ObjectInfo, Page, PartWriter, Store, Upload
from fsspec_gp_plugin.storage.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class FakeStore(Store):
    """Keeps objects in a dict, and the promises of every store, which tests/contract holds it to.

    `before` is called with (method, key, part number or start) before each step and may raise or wait; `calls` records
    them. A create() has two steps, `create` before and `created` after, where an error is an answer that got lost.
    Without `creates` it can't; with `ignores_condition` it replaces, as some stores do. `unfinished` are uploads,
    each with when its last part came. `send` is called with number and bytes of each part on its way here.
    """

    capabilities = Capabilities(parallel_parts=True, parallel_reads=True)

    def __init__(
        self,
        before: Callable[[str, str, int], None] = lambda *_: None,
        *,
        parallel: bool = True,
        single_request_put: bool = True,
        max_parts: int | None = None,
        min_part_size: int = 1,
        send: Callable[[int, int], None] = lambda *_: None,
        piece: int = 1 << 20,
        creates: bool = True,
        ignores_condition: bool = False,
    ) -> None:
        self.capabilities = Capabilities(
            parallel_parts=parallel,
            parallel_reads=parallel,
            single_request_put=single_request_put,
            max_parts=max_parts,
            min_part_size=min_part_size,
            creates=creates,
        )
        self.ignores_condition = ignores_condition
        self.unfinished: dict[Upload, float | None] = {}
        self.objects: dict[str, bytes] = {}
        self.crcs: dict[str, int] = {}
        self.calls: list[tuple[str, str, int]] = []
        self.aborted: list[str] = []
        self.flying = self.most_flying = 0
        self.piece = piece
        self._before = before
        self.send = send
        self._lock = threading.Lock()

    def step(self, method: str, key: str, number: int = 0) -> None:
        with self._lock:
            self.calls.append((method, key, number))
        self._before(method, key, number)

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        self.step("put", key)
        self.objects[key] = bytes(data)
        return self.stat(key)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        assert self.capabilities.creates, "it can't"
        self.step("create", key)
        with self._lock:
            if key in self.objects and not self.ignores_condition:
                raise AlreadyExists(f"{key}: there is an object of that key")
            self.objects[key] = bytes(data)
        self.step("created", key)
        return self.stat(key)

    def begin(self, key: str) -> PartWriter:
        return _FakeWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        if key not in self.objects:
            raise NotFound(f"{key}: there is no such object")
        return ObjectInfo(key, len(self.objects[key]), str(hash(self.objects[key])))

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        self.step("read", info.key, start)
        yield from self._pieces(info, start, into)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        self.step("fetch", key)
        info = self.stat(key)
        return info, self._pieces(info, 0, into[: info.size])

    def _pieces(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if self.stat(info.key).version != info.version:
            raise ObjectChanged(f"{info.key}: the object was replaced")
        data = self.objects[info.key][start : start + len(into)]
        for at in range(0, len(data), self.piece):
            self.step("piece", info.key, start + at)
            piece = data[at : at + self.piece]
            into[at : at + len(piece)] = piece
            yield len(piece)
        if len(data) < len(into):
            raise StorageError(f"{info.key}: {len(data)} bytes of {len(into)}")

    def crc32c(self, info: ObjectInfo) -> int | None:
        self.step("crc32c", info.key)
        return self.crcs.get(info.key)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return [upload for upload in self.unfinished if upload.key.startswith(prefix)]

    def last_written(self, upload: Upload) -> float | None:
        self.step("last_written", upload.key)
        return self.unfinished[upload]

    def delete_unfinished(self, prefix: str) -> int:
        found = self.find_uploads(prefix)
        for upload in found:
            del self.unfinished[upload]
        return len(found)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        del unfinished
        for key in list(self.objects):
            if key.startswith(prefix):
                yield self.stat(key)

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        """One page of what find() gives, so that a test may change find() alone."""

        def request(_: bool) -> tuple[Page, None]:
            found = list(self.find(prefix, unfinished=unfinished))
            below = {info: info.key[len(prefix) :].partition("/") for info in found} if shallow else {}
            folders = {f"{prefix}{name}/" for name, slash, _ in below.values() if slash}
            return Page([info for info in found if not shallow or not below[info][1]], sorted(folders)), None

        return Pages(request, True)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def close(self) -> None:
        pass


class _FakeWriter(PartWriter):
    def __init__(self, store: FakeStore, key: str) -> None:
        self._store = store
        self._key = key
        self._parts: dict[int, bytes] = {}
        self._aborted = self._done = False
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        store = self._store
        with self._lock:
            store.flying += 1
            store.most_flying = max(store.most_flying, store.flying)
        try:
            store.step("write", self._key, number)
            store.send(number, len(data))
            if self._aborted:
                raise StorageError("aborted")
            if not store.capabilities.parallel_parts and number > len(self._parts) + 1:
                raise StorageError(f"part {number} after part {len(self._parts)}")
            self._parts[number] = bytes(data)
        finally:
            with self._lock:
                store.flying -= 1

    def complete(self, size: int) -> ObjectInfo:
        self._store.step("complete", self._key)
        if self._aborted:
            raise StorageError("aborted")
        whole = b"".join(data for _, data in sorted(self._parts.items()))
        if len(whole) != size:
            raise StorageError(f"{len(whole)} bytes of {size}")
        self._store.objects[self._key] = whole
        self._done = True
        return self._store.stat(self._key)

    def abort(self) -> None:
        if self._done:
            return
        self._aborted = True
        self._store.step("abort", self._key)
        self._store.aborted.append(self._key)


class Alarm:
    """What interrupts a stream when a test rings it, as a signal does."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        self._rung = False

    def ring(self) -> None:
        """Go off, as when SIGTERM comes."""
        self._rung = True
        os.write(self._write, b"!")

    def check(self) -> None:
        """Raise Interrupted once it has been rung."""
        if self._rung:
            raise Interrupted(signal.SIGTERM)

    def close(self) -> None:
        """Close its descriptors."""
        os.close(self.fd)
        os.close(self._write)
