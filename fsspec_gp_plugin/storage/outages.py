"""Remembers on a host that a command has waited for a target in vain, as long as it could.

The commands after it give up sooner, until one of them reaches the target. So a target that is gone for good costs a
run one long wait, not one for each command.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import private
from ..errors import LocalFileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..private import Place

# The wait of a command after another one has waited in vain.
AFTER_AN_OUTAGE_SECONDS = 30.0
_DIRECTORY = "outages"
# An older note says nothing about the target now.
_KEPT_SECONDS = 3600.0
# A command that reaches the target looks for a note to remove at most so often.
_LOOK_SECONDS = 1.0


class Outages:
    """The note on this host about one target, for one command. Several threads may use it."""

    def __init__(self, place: Place, log: Callable[[str], None] = lambda _: None, *, leaves_notes: bool = True) -> None:
        """`log` is called with a line of text if the note can't be written. Without `leaves_notes` the command
        only reads notes: it waits less than the others, so its failure must not shorten their waits.
        """
        self._place = place
        self._log = log
        self._leaves_notes = leaves_notes
        self._name = place.name_of("target")
        self._path = ""
        self._next_look = 0.0

    def limit(self, seconds: float) -> tuple[float, str]:
        """Return how many of so many seconds a command should wait, and the reason if that is less, else ""."""
        if seconds <= AFTER_AN_OUTAGE_SECONDS or (waited := self._waited()) is None:
            return seconds, ""
        return AFTER_AN_OUTAGE_SECONDS, (
            f", not longer, because an earlier command of this host has waited {waited:.0f} s for this target in vain"
        )

    def spent(self, seconds: float) -> None:
        """Note that a command has waited in vain for so many seconds, all that it had."""
        if seconds <= AFTER_AN_OUTAGE_SECONDS or not self._leaves_notes:
            return
        from ..gpbackup_process import boot_id

        note = f"{boot_id() or '-'} {time.monotonic():.3f} {seconds:.3f}"
        try:
            directory = self._place.open_directory(_DIRECTORY, make=True)
            try:
                private.sweep(directory)
                private.replace_in(directory, self._name, note.encode())
            finally:
                os.close(directory)
        except (OSError, LocalFileError) as error:
            self._log(f"the outage can't be noted on this host, so each command waits {seconds:.0f} s: {error}")

    def reached(self) -> None:
        """Remove the note, because the target has answered. Costs one system call if there is no note."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        if self._is_there():
            self._remove()

    def _is_there(self) -> bool:
        with suppress(LocalFileError):
            self._path = self._path or os.path.join(self._place.path, _DIRECTORY, self._name)
            return os.path.lexists(self._path)
        return False

    def _waited(self) -> float | None:
        """Return the seconds that a command has waited in vain; None if no note says so that still counts."""
        if not self._is_there():
            return None
        from ..gpbackup_process import boot_id

        with suppress(OSError, LocalFileError):
            directory = self._place.open_directory(_DIRECTORY)
            try:
                boot, noted, waited = (private.read_in(directory, self._name) or b"").decode().split()
                if boot == (boot_id() or "-") and abs(time.monotonic() - float(noted)) < _KEPT_SECONDS:
                    return float(waited)
            except ValueError:
                pass  # not a note of this version
            finally:
                os.close(directory)
        self._remove()
        return None

    def _remove(self) -> None:
        with suppress(OSError, LocalFileError):
            directory = self._place.open_directory(_DIRECTORY)
            try:
                private.unlink_in(directory, self._name)
            finally:
                os.close(directory)
