"""The connections of one store, each used by one call or one file at a time."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import AccessDenied, ConfigError, NotFound, PluginError, StorageError
from ..errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialect import Dialect


# Of those that many streams at once needed a process that lives long keeps no more.
_MOST_IDLE = 8


class Connections:
    """Made when they are needed, kept while they work, dropped when they break."""

    def __init__(self, dialect: Dialect) -> None:
        """Connects to nothing yet."""
        self._dialect = dialect
        self._idle: list[Any] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def lease(self, doing: str) -> Iterator[Any]:
        """A connection for as long as the context lasts; `doing` says in messages what it is for.

        All errors leave as ours. After one that is no clear answer the connection is dropped.
        """
        fs = self.take(doing)
        try:
            with self.translating(doing):
                yield fs
        except (NotFound, AccessDenied):
            self.give_back(fs)
            raise
        except BaseException:
            self.drop(fs)
            raise
        self.give_back(fs)

    def take(self, doing: str) -> Any:
        """A connection for this caller alone, who gives it back or drops it."""
        with self._lock:
            if self._closed:
                raise StorageError(f"{doing}: the store was closed")
            if self._idle:
                return self._idle.pop()
        try:
            with self.translating(doing):
                return self._dialect.connect()
        except StorageError as error:
            cause = error.__cause__
            # A certificate that is not trusted is a ValueError as well.
            if isinstance(cause, TypeError | ValueError | KeyError) and not isinstance(cause, OSError):
                raise ConfigError(f"storage_options don't fit: {cause}") from error
            raise

    def give_back(self, fs: Any) -> None:
        """It works and nothing is under way on it."""
        with self._lock:
            # One that was given up in a call whose error somebody took for an answer is over.
            if not self._closed and len(self._idle) < _MOST_IDLE and not getattr(fs, "is_over", False):
                self._idle.append(fs)
                return
        self._dialect.disconnect(fs)

    def drop(self, fs: Any) -> None:
        """It broke, and those that idle are likely to have broken with it. Wakes who hangs in a call on it."""
        with self._lock:
            dropped, self._idle = [fs, *self._idle], []
        for connection in dropped:
            self._dialect.disconnect(connection)

    def close(self) -> None:
        """End those that idle; those in use end when they are given back."""
        with self._lock:
            self._closed = True
            dropped, self._idle = self._idle, []
        for connection in dropped:
            self._dialect.disconnect(connection)

    @contextmanager
    def translating(self, doing: str) -> Iterator[None]:
        """As storage.errors.translating(), after the dialect was asked."""
        before = sys.exc_info()[1]
        try:
            yield
        except PluginError:
            raise
        except Exception as error:
            raise self._dialect.explain(error, doing) or translated(error, doing, before) from error
