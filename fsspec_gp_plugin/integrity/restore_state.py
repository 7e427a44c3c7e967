"""Keeps on this host which restores need which catalogs, and what the hooks of segments have to check.

Each setup hook leaves a file of its own, and each cleanup hook removes one. So a second restore of the same backup
doesn't remove the catalog of the first, and the coordinator's hook not the catalog of the segment host on which it
runs. Hooks that run at the same time take turns.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import private
from .catalog import Catalog
from .catalog_files import DIRECTORY, purpose_of, remove_catalogs
from .contents import COORDINATOR
from .locking import locked_directory

if TYPE_CHECKING:
    from ..private import Place

_RESTORE, _FOR_SEGMENTS = ".user", ".required"
# Of which backups the hooks of a restore's segments check objects.
CHAIN = ".chain"
_CONFIRMED = "confirmed"


def begin_restore(place: Place, timestamp: str, needed: list[str]) -> str:
    """Keep that a restore of a backup needs the catalogs of these timestamps. Returns the name of the file for it.
    Raises LocalFileError.
    """
    with locked_directory(place, DIRECTORY, make=True) as directory:
        private.sweep(directory)
        name = f"{place.name_of(timestamp)}.{secrets.token_hex(6)}{_RESTORE}"
        private.replace_in(directory, name, "\n".join(needed).encode())
    return name


def confirm_restore(place: Place, name: str) -> None:
    """Keep that all objects are there that a restore needs. `name`: from begin_restore(). Raises LocalFileError."""
    with locked_directory(place, DIRECTORY) as directory:
        content = private.read_in(directory, name)
        if content is not None:
            private.replace_in(directory, name, b"%b\n%b" % (content, _CONFIRMED.encode()))


def read_confirmed(place: Place, timestamp: str, seconds: float) -> list[str] | None:
    """The timestamps that a restore of a backup needs, if a hook on this host has confirmed in the last `seconds` that
    everything is there. Otherwise None. Raises LocalFileError.
    """
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        for name in _list_restores(directory, f"{place.name_of(timestamp)}."):
            words = (private.read_in(directory, name) or b"").decode(errors="replace").split()
            age = time.time() - os.stat(name, dir_fd=directory).st_mtime
            if words[-1:] == [_CONFIRMED] and abs(age) < seconds:
                return words[:-1]
    return None


def read_needed(place: Place, timestamp: str) -> set[str]:
    """The timestamps that the running restores of a backup need on this host. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        names = _list_restores(directory, f"{place.name_of(timestamp)}.")
        return {one for name in names for one in _read_timestamps(directory, name)}
    return set()


def has_catalog(place: Place, timestamp: str) -> bool:
    """Whether the setup hook of a restore has made a catalog of a backup on this host. Raises LocalFileError."""
    with suppress(private.NoDirectoryError):
        for purpose in ("", purpose_of(COORDINATOR)):
            with Catalog(place, timestamp, purpose) as catalog:
                if catalog.exists():
                    return True
    return False


def end_restore(place: Place, timestamp: str) -> None:
    """End one restore of a backup: remove the catalogs that no other restore needs. Raises LocalFileError."""
    needed: set[str] = set()
    with locked_directory(place, DIRECTORY) as directory:
        ended = next(iter(_list_restores(directory, f"{place.name_of(timestamp)}.")), None)
        if ended is not None:
            needed = _read_timestamps(directory, ended)
            private.unlink_in(directory, ended)
        target = place.name_of("")
        others = (name for name in _list_restores(directory) if target in name)
        still_needed = {one for name in others for one in _read_timestamps(directory, name)}
        for one in needed - still_needed:
            remove_catalogs(place, one)
            remove_for_segments(place, one)
        for one in {timestamp, *needed}:
            remove_catalogs(place, one, fetched_only=True)


def _list_restores(directory: int, beginning: str = "") -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.startswith(beginning) and name.endswith(_RESTORE))


def _read_timestamps(directory: int, name: str) -> set[str]:
    return set(re.findall(r"[0-9]{14}", (private.read_in(directory, name) or b"").decode(errors="replace")))


def write_for_segments(place: Place, timestamp: str, data: bytes, what: str = _FOR_SEGMENTS) -> None:
    """Keep bytes for the hooks of a restore's segments, whole or not at all. Raises LocalFileError."""
    with private.opened_directory(place, DIRECTORY, make=True) as directory:
        private.replace_in(directory, place.name_of(timestamp) + what, data)


def read_for_segments(place: Place, timestamp: str, what: str = _FOR_SEGMENTS) -> bytes | None:
    """The bytes that write_for_segments() has kept. None if there are none. Raises LocalFileError."""
    with private.opened_directory(place, DIRECTORY) as directory:
        return private.read_in(directory, place.name_of(timestamp) + what)


def remove_for_segments(place: Place, timestamp: str) -> None:
    """Remove the bytes that write_for_segments() has kept. Raises LocalFileError."""
    with private.opened_directory(place, DIRECTORY) as directory:
        for what in (_FOR_SEGMENTS, CHAIN):
            private.unlink_in(directory, place.name_of(timestamp) + what)
