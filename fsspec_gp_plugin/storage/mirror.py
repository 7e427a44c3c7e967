"""Reads two targets that hold the same backup as one: what one lacks, or fails to give, comes from the other."""

from __future__ import annotations

import threading
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from ..errors import AccessDenied, ConfigError, NotFound, ObjectChanged, PluginError, StorageError, Unreachable
from .contract import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .contract import Capabilities, ObjectInfo, PartWriter, Upload, Way

_T = TypeVar("_T")
_LACKS = (NotFound, AccessDenied)
_REMEMBERED = 64
_LEAD, _OTHER, _PATIENT = range(3)


class MirroredStore(Store):
    """Reads from `lead` and, where that fails, goes on with the store that `other` makes, also within an object.

    `lead` has short retries; `patient_lead` is the same target with long ones, for what the other target lacks. Writes
    and deletions go to `lead` alone. `note` is called with a line of text for each object that changes over, and `lost`
    once, when `lead` is out of reach.
    """

    def __init__(
        self,
        lead: Store,
        other: Callable[[], Store],
        patient_lead: Store,
        *,
        note: Callable[[str], None] = lambda _: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Touches nothing yet. The stores are the caller's to close."""
        self.lead = lead
        self._make_other = other
        self._patient_lead = patient_lead
        self._other: Store | None = None
        # Why `lead` is out of reach, once it is; and the infos of objects at the other target whose streams went over.
        self._away: Unreachable | None = None
        self._elsewhere: dict[str, ObjectInfo] = {}
        self._lock = threading.Lock()
        self._note = note
        self._lost = lost

    @property
    def capabilities(self) -> Capabilities:
        return self.lead.capabilities

    @property
    def other(self) -> Store:
        """The other target, opened on first use. Raises ConfigError if it can't be opened."""
        with self._lock:
            if self._other is None:
                self._other = self._make_other()
            return self._other

    def _store(self, at: int) -> Store:
        if at == _OTHER:
            return self.other
        return self.lead if at == _LEAD else self._patient_lead

    def __repr__(self) -> str:
        return f"MirroredStore({self.lead!r})"

    def stat(self, key: str) -> ObjectInfo:
        at, info = self._first(key, lambda store: store.stat(key))
        return _marked(info, at)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        at, (info, pieces) = self._first(key, lambda store: store.fetch(key, into))
        return _marked(info, at), self._resumed(at, info, 0, into[: info.size], pieces)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        at, bare = _unmarked(info)
        if at == _LEAD and self._away is not None:
            at, bare = self._found_elsewhere(bare, self._away)
        return self._resumed(at, bare, start, into, self._store(at).read(bare, start, into))

    def crc32c(self, info: ObjectInfo) -> int | None:
        at, bare = _unmarked(info)
        try:
            return self._store(at).crc32c(bare)
        except StorageError:
            return None  # the store failed after the last byte; the manifest has the checksum, too

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects at `lead`, or those at the other target if `lead` has none there."""

        def listed(store: Store) -> Iterator[ObjectInfo]:
            found = store.find(prefix, unfinished=unfinished)
            for first in found:
                return chain((first,), found)
            raise NotFound(f"there is nothing below {prefix}")

        try:
            at, found = self._first(prefix, listed)
        except NotFound:
            return
        for info in found:
            yield _marked(info, at)

    def find_anywhere(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects of both targets, the primary's last; leaves out what can't be listed, unless that is both."""
        failures = []
        for at in (_OTHER, _LEAD):
            try:
                for info in self._store(at).find(prefix):
                    yield _marked(info, at)
            except (StorageError, ConfigError) as error:
                failures.append(error)
        if len(failures) > 1:
            raise failures[1]

    def _first(self, key: str, action: Callable[[Store], _T]) -> tuple[int, _T]:
        """Return which store could do the action, and its result."""
        problem: StorageError
        if self._away is not None:
            problem = self._away
        else:
            try:
                return _LEAD, action(self.lead)
            except ObjectChanged:
                raise
            except StorageError as error:
                problem = error
                self._failed(problem)
        try:
            found = action(self.other)
        except _LACKS as second:
            if not isinstance(problem, Unreachable):
                raise _both(problem, second) from problem
            self._note(f"{key} is not at the other target: {second}")
            return _PATIENT, action(self._patient_lead)
        except (StorageError, ConfigError) as second:
            raise _both(problem, second) from problem
        self._note(f"{key} is read from the other target: {problem}")
        return _OTHER, found

    def _resumed(self, at: int, info: ObjectInfo, start: int, into: memoryview, pieces: Iterator[int]) -> Iterator[int]:
        """Fill the buffer from `pieces`, and from the other store when they fail."""
        filled = 0
        try:
            for count in pieces:
                filled += count
                yield count
            return
        except ObjectChanged:
            raise
        except StorageError as problem:
            if at != _LEAD:
                raise
            self._failed(problem)
            failure = problem
        at, same = self._found_elsewhere(info, failure)
        yield from self._store(at).read(same, start + filled, into[filled:])

    def _found_elsewhere(self, info: ObjectInfo, problem: StorageError) -> tuple[int, ObjectInfo]:
        """Return the store to go on with, and the object's info there."""
        same = self._elsewhere.get(info.key)
        if same is not None and same.size == info.size:
            return _OTHER, same
        try:
            same = self.other.stat(info.key)
            if same.size != info.size:
                raise NotFound(f"{info.key} has {same.size} bytes at the other target instead of {info.size}")
        except _LACKS as second:
            if not isinstance(problem, Unreachable):
                raise _both(problem, second) from problem
            self._note(f"{info.key} is not at the other target: {second}")
            return _PATIENT, info
        except (StorageError, ConfigError) as second:
            raise _both(problem, second) from problem
        self._note(f"{info.key} is read on from the other target: {problem}")
        with self._lock:
            while len(self._elsewhere) >= _REMEMBERED:
                del self._elsewhere[next(iter(self._elsewhere))]
            self._elsewhere[info.key] = same
        return _OTHER, same

    def _failed(self, problem: StorageError) -> None:
        if not isinstance(problem, Unreachable):
            return
        with self._lock:
            first, self._away = self._away is None, problem
        if first:
            self._lost()

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self.lead.put(key, data)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return self.lead.create(key, data)

    def begin(self, key: str) -> PartWriter:
        return self.lead.begin(key)

    def delete(self, keys: Iterable[str]) -> None:
        self.lead.delete(keys)

    def keeps_versions(self, prefix: str) -> bool:
        return self.lead.keeps_versions(prefix)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return self.lead.find_uploads(prefix)

    def last_written(self, upload: Upload) -> float | None:
        return self.lead.last_written(upload)

    def delete_unfinished(self, prefix: str) -> int:
        return self.lead.delete_unfinished(prefix)

    def delete_empty_directories(self, prefix: str) -> None:
        self.lead.delete_empty_directories(prefix)

    def way(self) -> Way | None:
        return self.lead.way()

    @property
    def files(self) -> None:
        """Files are of one target alone."""

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        return self.lead.copy_from(source, info, key)

    def clock_offset(self) -> float | None:
        return self.lead.clock_offset()

    def warm_up(self) -> None:
        self.lead.warm_up()

    def stop_waiting(self) -> None:
        self.lead.stop_waiting()
        self._patient_lead.stop_waiting()

    def close(self) -> None:
        pass


def _marked(info: ObjectInfo, at: int) -> ObjectInfo:
    """Add to the version of an object which store it comes from."""
    return info._replace(version=f"{at}" if info.version is None else f"{at}:{info.version}")


def _unmarked(info: ObjectInfo) -> tuple[int, ObjectInfo]:
    at, separator, version = str(info.version).partition(":")
    return int(at), info._replace(version=version if separator else None)


def _both(problem: StorageError, second: PluginError) -> StorageError:
    # If one target lacks the object and the other can't be reached, it may exist.
    kind = type(second) if isinstance(problem, NotFound) and isinstance(second, StorageError) else type(problem)
    return kind(f"{problem}; and at the other target: {second}")
