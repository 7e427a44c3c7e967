"""Reads two targets that hold the same backup as one: what one lacks, or fails to give, comes from the other."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from ..errors import AccessDenied, ConfigError, NotFound, ObjectChanged, PluginError, StorageError, Unreachable
from .contract import Store
from .marked_versions import mark_version, unmark_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .contract import Capabilities, ObjectInfo, Page, PartWriter, TransportSecurity, Upload

_T = TypeVar("_T")
_LACKS = (NotFound, AccessDenied)
_REMEMBERED = 64
_PREFERRED, _FALLBACK, _WITH_RETRIES = range(3)


class MirroredStore(Store):
    """Reads from `preferred` and, where that fails, goes on with the store that `fallback` opens, even in an object.

    `preferred` has short retries; `preferred_with_retries` is the same target with long ones, for what the other target
    lacks. Writes and deletions go to `preferred` alone. `note` is called with a line of text for each object that
    changes over until `preferred` is known to be out of reach, and `lost` once, when `preferred` is out of reach.
    """

    def __init__(
        self,
        preferred: Store,
        fallback: Callable[[], Store],
        preferred_with_retries: Store,
        *,
        note: Callable[[str], None] = lambda _: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes no request yet. The caller closes the stores."""
        self.preferred = preferred
        self._open_fallback = fallback
        self._preferred_with_retries = preferred_with_retries
        self._fallback: Store | None = None
        # Why `preferred` is out of reach, once it is; and the objects at the other target whose streams went over.
        self._outage: Unreachable | None = None
        self._at_fallback: dict[str, ObjectInfo] = {}
        self._lock = threading.Lock()
        self._note = note
        self._lost = lost

    @property
    def capabilities(self) -> Capabilities:
        return self.preferred.capabilities

    @property
    def fallback(self) -> Store:
        """The other target, opened on first use. Raises ConfigError if it can't be opened."""
        with self._lock:
            if self._fallback is None:
                self._fallback = self._open_fallback()
            return self._fallback

    def _store(self, at: int) -> Store:
        if at == _FALLBACK:
            return self.fallback
        return self.preferred if at == _PREFERRED else self._preferred_with_retries

    def __repr__(self) -> str:
        return f"MirroredStore({self.preferred!r})"

    def stat(self, key: str) -> ObjectInfo:
        at, info = self._first(key, lambda store: store.stat(key))
        return mark_version(info, at)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        at, (info, pieces) = self._first(key, lambda store: store.fetch(key, into))
        return mark_version(info, at), self._resumed(at, info, 0, into[: info.size], pieces)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        at, bare = unmark_version(info)
        if at == _PREFERRED and self._outage is not None:
            at, bare = self._find_at_fallback(bare, self._outage)
        return self._resumed(at, bare, start, into, self._store(at).read(bare, start, into))

    def crc32c(self, info: ObjectInfo) -> int | None:
        at, bare = unmark_version(info)
        try:
            return self._store(at).crc32c(bare)
        except StorageError:
            return None  # the store failed after the last byte; the manifest has the checksum, too

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        """Yield the objects at `preferred`, or those at the other target if `preferred` has none there."""

        def listed(store: Store) -> Iterator[Page]:
            pages = store.list_pages(prefix, shallow=shallow, unfinished=unfinished)
            for first in pages:
                if first.objects or first.folders:
                    return chain((first,), pages)
            raise NotFound(f"there is nothing below {prefix}")

        try:
            at, pages = self._first(prefix, listed)
        except NotFound:
            return
        for page in pages:
            yield page._replace(objects=[mark_version(info, at) for info in page.objects])

    def find_anywhere(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects of both targets, the primary's last; leaves out what can't be listed, unless that is both."""
        failures = []
        for at in (_FALLBACK, _PREFERRED):
            try:
                for info in self._store(at).find(prefix):
                    yield mark_version(info, at)
            except (StorageError, ConfigError) as error:
                failures.append(error)
        if len(failures) > 1:
            raise failures[1]

    def _first(self, key: str, action: Callable[[Store], _T]) -> tuple[int, _T]:
        """Return which store could do the action, and its result."""
        known = self._outage  # and noted
        problem: StorageError | None = known
        if problem is None:
            try:
                return _PREFERRED, action(self.preferred)
            except ObjectChanged:
                raise
            except StorageError as error:
                problem = error
                self._failed(problem)
        try:
            found = action(self.fallback)
        except _LACKS as second:
            if not isinstance(problem, Unreachable):
                raise _both(problem, second) from problem
            self._note(f"{key} is not at the other target: {second}")
            return _WITH_RETRIES, action(self._preferred_with_retries)
        except (StorageError, ConfigError) as second:
            raise _both(problem, second) from problem
        if known is None:
            self._note(f"{key} is read from the other target: {problem}")
        return _FALLBACK, found

    def find_first(self, key: str, find: Callable[[Store], _T | None]) -> _T | None:
        """What is found at the first target that has it; None if none has it, which is waited for at neither."""
        at, found = self._first(key, find)
        if found is None and at == _PREFERRED:
            with suppress(StorageError, ConfigError):
                return find(self.fallback)
        return found

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
            if at != _PREFERRED:
                raise
            self._failed(problem)
            failure = problem
        at, same = self._find_at_fallback(info, failure)
        yield from self._store(at).read(same, start + filled, into[filled:])

    def _find_at_fallback(self, info: ObjectInfo, problem: StorageError) -> tuple[int, ObjectInfo]:
        """Return the store to go on with, and the object's info there."""
        same = self._at_fallback.get(info.key)
        if same is not None and same.size == info.size:
            return _FALLBACK, same
        try:
            same = self.fallback.stat(info.key)
            if same.size != info.size:
                raise NotFound(f"{info.key} has {same.size} bytes at the other target instead of {info.size}")
        except _LACKS as second:
            if not isinstance(problem, Unreachable):
                raise _both(problem, second) from problem
            self._note(f"{info.key} is not at the other target: {second}")
            return _WITH_RETRIES, info
        except (StorageError, ConfigError) as second:
            raise _both(problem, second) from problem
        self._note(f"{info.key} is read on from the other target: {problem}")
        with self._lock:
            while len(self._at_fallback) >= _REMEMBERED:
                del self._at_fallback[next(iter(self._at_fallback))]
            self._at_fallback[info.key] = same
        return _FALLBACK, same

    def _failed(self, problem: StorageError) -> None:
        if not isinstance(problem, Unreachable):
            return
        with self._lock:
            first, self._outage = self._outage is None, problem
        if first:
            self._lost()

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self.preferred.put(key, data)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return self.preferred.create(key, data)

    def begin(self, key: str) -> PartWriter:
        return self.preferred.begin(key)

    def delete(self, keys: Iterable[str]) -> None:
        self.preferred.delete(keys)

    def keeps_versions(self, prefix: str) -> bool:
        return self.preferred.keeps_versions(prefix)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return self.preferred.find_uploads(prefix)

    def last_written(self, upload: Upload) -> float | None:
        return self.preferred.last_written(upload)

    def delete_unfinished(self, prefix: str) -> int:
        return self.preferred.delete_unfinished(prefix)

    def delete_empty_directories(self, prefix: str) -> None:
        self.preferred.delete_empty_directories(prefix)

    def transport_security(self) -> TransportSecurity | None:
        return self.preferred.transport_security()

    @property
    def files(self) -> None:
        """Files are of one target alone."""

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        return self.preferred.copy_from(source, info, key)

    def clock_offset(self) -> float | None:
        return self.preferred.clock_offset()

    def warm_up(self) -> None:
        self.preferred.warm_up()

    def stop_waiting(self) -> None:
        self.preferred.stop_waiting()
        self._preferred_with_retries.stop_waiting()

    def close(self) -> None:
        pass


def _both(problem: StorageError, second: PluginError) -> StorageError:
    # If one target lacks the object and the other can't be reached, it may exist.
    kind = type(second) if isinstance(problem, NotFound) and isinstance(second, StorageError) else type(problem)
    return kind(f"{problem}; and at the other target: {second}")
