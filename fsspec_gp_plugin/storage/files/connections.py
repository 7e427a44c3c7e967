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


# Many streams at once need more, but a process that lives long keeps no more of them.
_MOST_IDLE = 8


class Connections:
    """Connections are made when they are needed, kept while they work, and closed when they break."""

    def __init__(self, dialect: Dialect) -> None:
        """Connects to nothing yet."""
        self._dialect = dialect
        self._idle: list[Any] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def lease(self, doing: str) -> Iterator[Any]:
        """A connection for as long as the context lasts; `doing` says in messages what it is for.

        All errors become errors of this package. After one that is no clear answer the connection is closed.
        """
        fs = self.acquire(doing)
        try:
            with self.translating(doing):
                yield fs
        except (NotFound, AccessDenied):
            self.release(fs)
            raise
        except BaseException:
            self.discard(fs)
            raise
        self.release(fs)

    def acquire(self, doing: str) -> Any:
        """A connection for this caller alone, who must release() or discard() it."""
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

    def release(self, fs: Any) -> None:
        """Return a healthy, idle connection to the pool."""
        with self._lock:
            # It may have been closed in a call whose error somebody took for an answer.
            if not self._closed and len(self._idle) < _MOST_IDLE and not getattr(fs, "is_closed", False):
                self._idle.append(fs)
                return
        self._dialect.disconnect(fs)

    def discard(self, fs: Any) -> None:
        """Close a broken connection, which ends a call that hangs on it, and the idle ones: they are likely to have
        broken with it.
        """
        self._dialect.disconnect(fs)
        self._close_idle()

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they are released."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._dialect.disconnect(connection)

    @contextmanager
    def translating(self, doing: str) -> Iterator[None]:
        """As storage.errors.translating(), but the dialect explains an error first, if it can."""
        before = sys.exc_info()[1]
        try:
            yield
        except PluginError:
            raise
        except Exception as error:
            raise self._dialect.explain(error, doing) or translated(error, doing, before) from error
