"""The hidden file to which one attempt at an object writes."""

from __future__ import annotations

import random
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, StorageError, Unreachable
from ...keys import unfinished_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connections import Connections
    from .output import Output

_CONTENTION_SECONDS = 20.0
# Seconds before each further attempt to remove a file that may appear after its request was broken off.
_PAUSES = (0.05, 0.1, 0.2, 0.4)
# Seconds in which it may appear. After that it has appeared earlier, and cleaning up removes it, or it never will.
_APPEARS_SECONDS = 60.0


class WorkingFile:
    """A file in the object's directory, whose name no other attempt uses."""

    def __init__(self, connections: Connections, path: str, await_appearance: Callable[[WorkingFile], None]) -> None:
        """Makes no request yet. `path`: of the object. `await_appearance` is called if the file may appear later."""
        self._connections = connections
        self._await_appearance = await_appearance
        self.path = unfinished_key(path, secrets.token_hex(6))
        # Whether it may be there, and whether that is unknown: it may then appear later.
        self.created = self.unanswered = False
        # Whether a request that writes it was broken off: the server may carry it out after the file was removed.
        self.was_broken_off = False
        self._awaited_until = 0.0

    def create(self, fs: Any, check: Callable[[], None], doing: str) -> Output:
        """Make the empty file and open it. `check` is called before each attempt, and may raise."""
        dialect = self._connections.dialect
        directory = self.path.rpartition("/")[0]
        deadline = time.monotonic() + _CONTENTION_SECONDS
        make = dialect.directories_first
        while True:
            check()
            try:
                if make:
                    dialect.make_directories(fs, directory)
                # If the answer is lost, it may be there now or later.
                self.created = self.unanswered = True
                output = dialect.create(fs, self.path)
                self.unanswered = False
                return output
            except FileNotFoundError:
                # Another process removed a directory, empty as it was, between two calls: all hosts of a
                # cluster probe the same target at once.
                self.created = self.unanswered = False
                if time.monotonic() > deadline:
                    raise StorageError(f"{doing}: its directory is removed again and again") from None
                if make:
                    time.sleep(random.uniform(0, 0.02))  # noqa: S311 - so that they don't meet again
                make = True

    def remove(self) -> None:
        """Remove it if it may be there. Raises NotFound if it is not, StorageError if it may still appear."""
        pauses = iter(_PAUSES if self._connections.dialect.may_appear_later else ())
        while self.created:
            try:
                self._remove_now()
            except NotFound:
                if self.unanswered:
                    raise StorageError(f"{self.path} was being made, so it may still appear") from None
                self.was_broken_off = False  # what appears now is what that request made
                if (pause := next(pauses, None)) is None:
                    if self._connections.dialect.may_appear_later:
                        self._expect_appearance()
                    raise
                time.sleep(pause)
        if self.was_broken_off and self._connections.dialect.may_appear_later:
            self.was_broken_off = False
            for pause in _PAUSES[:3]:
                time.sleep(pause)
                with suppress(NotFound):
                    self._remove_now()
                    return
            self._expect_appearance()

    def _expect_appearance(self) -> None:
        self._awaited_until = time.monotonic() + _APPEARS_SECONDS
        self._await_appearance(self)

    def remove_if_appeared(self) -> bool:
        """Try once to remove a file that remove() did not find; returns whether it may still appear. Raises Unreachable
        where the server can't be reached.
        """
        try:
            self._remove_now()
        except NotFound:
            return time.monotonic() < self._awaited_until
        except Unreachable:
            raise
        except StorageError:
            pass  # it is there, and cleaning up finds it
        return False

    def _remove_now(self) -> None:
        with self._connections.lease(f"can't remove {self._connections.dialect.place}{self.path}") as fs:
            self._connections.dialect.remove(fs, self.path)
        self.created = False
