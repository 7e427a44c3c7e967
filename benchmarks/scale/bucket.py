"""A bucket of hundreds of millions of objects: those of a rule but for what was deleted, and what was written since, in
the order of their keys.
"""

from __future__ import annotations

import threading
import time
import zlib
from bisect import bisect_left, bisect_right, insort
from hashlib import md5
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.scale.manifests import Manifests
from benchmarks.scale.rule import Backup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.scale.rule import Shape

# Behind all keys with the same beginning.
LAST = "\U0010ffff"


class Listed(NamedTuple):
    """An object as a listing shows it."""

    key: str
    size: int
    etag: str
    modified: float


class Written(NamedTuple):
    """An object that somebody has written here."""

    data: bytes
    etag: str
    modified: float
    checksum: str


class _Names:
    """The names of one backup, sorted, without those that were deleted."""

    def __init__(self, backup: Backup) -> None:
        self.backup = backup
        self.manifests = Manifests(backup)
        self._heads = sorted([*backup.heads, *self.manifests.names])
        # By head: a byte for each object, 1 if it was deleted; None if all of them were.
        self._deleted: dict[str, bytearray | None] = {}

    def find(self, name: str) -> tuple[str, int] | None:
        """The head and the place of an object that is there."""
        number = bisect_right(self._heads, name) - 1
        if number < 0 or not name.startswith(self._heads[number]):
            return None
        head = self._heads[number]
        ends, end = self.backup.ends(head), name[len(head) :]
        place = bisect_left(ends, end)
        if place == len(ends) or ends[place] != end:
            return None
        deleted = self._deleted.get(head, b"")
        return None if deleted is None or (deleted and deleted[place]) else (head, place)

    def delete(self, name: str) -> None:
        found = self.find(name)
        if found is None:
            return
        head, place = found
        deleted = self._deleted.setdefault(head, bytearray(len(self.backup.ends(head))))
        if deleted is not None:
            deleted[place] = 1
            if deleted.find(0) < 0:
                self._deleted[head] = None

    def size(self, head: str, place: int) -> int:
        """The bytes of an object."""
        return self.manifests.size(head) if head in self.manifests else self.backup.size(head, place)

    def behind(self, name: str) -> Iterator[Listed]:
        """All objects whose names are behind that one."""
        for head in islice(self._heads, max(bisect_right(self._heads, name) - 1, 0), None):
            deleted = self._deleted.get(head, b"")
            if deleted is None or (head < name and not name.startswith(head)):
                continue
            ends = self.backup.ends(head)
            first = bisect_right(ends, name[len(head) :]) if name.startswith(head) else 0
            for place in range(first, len(ends)):
                if not (deleted and deleted[place]):
                    key = self.backup.prefix + head + ends[place]
                    yield Listed(key, self.size(head, place), etag_of(key), self.backup.time)


def etag_of(key: str) -> str:
    """Of an object by rule."""
    return f'"{zlib.crc32(key.encode()):032x}"'


class Bucket:
    """Safe for threads, but for two that write the same key."""

    def __init__(self, shape: Shape) -> None:
        self._lock = threading.Lock()
        self._backups: dict[str, _Names] = {}
        self._written: dict[str, Written] = {}
        self._keys: list[str] = []
        for number, timestamp in enumerate(shape.timestamps):
            self.add(Backup(shape, timestamp, number))

    def add(self, backup: Backup) -> None:
        """Put a backup here, in the place of one with the same timestamp."""
        names = _Names(backup)
        with self._lock:
            self._backups[backup.prefix] = names
            self._prefixes = sorted(self._backups)

    def _names_of(self, key: str) -> tuple[_Names | None, str]:
        prefix = "/".join(key.split("/")[:3]) + "/"
        return self._backups.get(prefix), key[len(prefix) :]

    def head(self, key: str) -> tuple[Listed, str] | None:
        """An object, and the checksum that it was written with. None if it does not exist."""
        if (written := self._written.get(key)) is not None:
            return Listed(key, len(written.data), written.etag, written.modified), written.checksum
        names, name = self._names_of(key)
        found = None if names is None else names.find(name)
        if names is None or found is None:
            return None
        return Listed(key, names.size(*found), etag_of(key), names.backup.time), ""

    def read(self, key: str, start: int, end: int) -> bytes:
        """Bytes of an object that is there."""
        if (written := self._written.get(key)) is not None:
            return written.data[start:end]
        names, name = self._names_of(key)
        if names is None:
            return b""
        if name in names.manifests:
            return names.manifests.read(name, start, end)
        return names.backup.read(name)[start:end]

    def put(self, key: str, data: bytes, checksum: str = "") -> str:
        """Write an object; returns its ETag."""
        etag = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
        with self._lock:
            names, name = self._names_of(key)
            if names is not None:
                names.delete(name)
            if key not in self._written:
                insort(self._keys, key)
            self._written[key] = Written(data, etag, time.time(), checksum)
        return etag

    def delete(self, key: str) -> None:
        """Also of an object that does not exist."""
        with self._lock:
            if self._written.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            names, name = self._names_of(key)
            if names is not None:
                names.delete(name)

    def page(self, prefix: str, position: str, delimiter: str, most: int) -> tuple[list[Listed | str], str]:
        """The first objects below a prefix behind a position, and, with a delimiter, the common beginnings of others;
        and the position from which to go on, "" at the end.
        """
        found: list[Listed | str] = []
        # A key may be the prefix itself, so the first position is right before it.
        position = max(position, prefix[:-1] + chr(ord(prefix[-1]) - 1) + LAST if prefix else "")
        while True:
            folder = ""
            for listed in self._behind(position):
                if not listed.key.startswith(prefix):
                    return found, ""
                if len(found) == most:
                    return found, position
                before, delimited, _ = listed.key[len(prefix) :].partition(delimiter or "\0")
                if delimited:
                    folder = prefix + before + delimiter
                    break
                found.append(listed)
                position = listed.key
            if not folder:
                return found, ""
            found.append(folder)
            position = folder + LAST

    def _behind(self, key: str) -> Iterator[Listed]:
        """All objects behind a key, in the order of their keys."""
        return merge(self._by_rule(key), self._written_behind(key), key=lambda one: one.key)

    def _written_behind(self, key: str) -> Iterator[Listed]:
        while True:
            with self._lock:
                number = bisect_right(self._keys, key)
                if number == len(self._keys):
                    return
                key = self._keys[number]
                one = self._written[key]
            yield Listed(key, len(one.data), one.etag, one.modified)

    def _by_rule(self, key: str) -> Iterator[Listed]:
        for prefix in self._prefixes[max(bisect_right(self._prefixes, key) - 1, 0) :]:
            if key.startswith(prefix) or prefix > key:
                yield from self._backups[prefix].behind(key[len(prefix) :] if key.startswith(prefix) else "")
