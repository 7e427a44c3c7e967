"""Which restores on this host need which catalogs: each setup hook leaves a note, each cleanup hook takes one away.

So a second restore of the same backup doesn't take the catalog from the first, nor the coordinator's hook that of the
segment host it runs on. Hooks that come at once take turns.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress

from .. import private
from . import for_segments
from .catalog import DIRECTORY, FETCHED, Catalog
from .locking import one_at_a_time

_SUFFIX = ".user"
_CONFIRMED = "confirmed"


def begin(place: private.Place, timestamp: str, needed: list[str]) -> str:
    """Note that a restore of a backup needs the catalogs of these timestamps; returns the name of the note.
    LocalFileError.
    """
    with one_at_a_time(place, DIRECTORY, make=True) as directory:
        private.sweep(directory)
        name = f"{place.name_of(timestamp)}.{secrets.token_hex(6)}{_SUFFIX}"
        private.replace_in(directory, name, "\n".join(needed).encode())
    return name


def confirm(place: private.Place, name: str) -> None:
    """Add to a note that all that the restore needs is there; LocalFileError."""
    with one_at_a_time(place, DIRECTORY) as directory:
        noted = private.read_in(directory, name)
        if noted is not None:
            private.replace_in(directory, name, b"%b\n%b" % (noted, _CONFIRMED.encode()))


def confirmed_within(place: private.Place, timestamp: str, seconds: float) -> list[str] | None:
    """The timestamps that a restore of a backup needs, where a hook on this host has confirmed in the last `seconds`
    that all is there; else None. LocalFileError.
    """
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        for name in _notes(directory, f"{place.name_of(timestamp)}."):
            words = (private.read_in(directory, name) or b"").decode(errors="replace").split()
            age = time.time() - os.stat(name, dir_fd=directory).st_mtime
            if words[-1:] == [_CONFIRMED] and abs(age) < seconds:
                return words[:-1]
    return None


def end(place: private.Place, timestamp: str) -> None:
    """One restore of the backup has ended: catalogs that no other needs are removed; LocalFileError."""
    needed: set[str] = set()
    with one_at_a_time(place, DIRECTORY) as directory:
        ended = next(iter(_notes(directory, f"{place.name_of(timestamp)}.")), None)
        if ended is not None:
            needed = _read(directory, ended)
            private.unlink_in(directory, ended)
        target = place.name_of("")
        still = {one for name in _notes(directory) if target in name for one in _read(directory, name)}
        for one in needed - still:
            with Catalog(place, one) as catalog:
                catalog.remove()
            for_segments.remove(place, one)
        for one in {timestamp, *needed}:
            forget_fetched(place, one)


def forget_fetched(place: private.Place, timestamp: str) -> None:
    """Remove the catalog of a backup that a restore without a setup hook has fetched; LocalFileError."""
    with suppress(private.NoDirectoryError), Catalog(place, timestamp, FETCHED) as catalog:
        catalog.remove()


def _notes(directory: int, beginning: str = "") -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.startswith(beginning) and name.endswith(_SUFFIX))


def _read(directory: int, name: str) -> set[str]:
    return set(re.findall(r"[0-9]{14}", (private.read_in(directory, name) or b"").decode(errors="replace")))
