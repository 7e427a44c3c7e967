"""Keeps on this host what the coordinator's manifest will say of gpbackup's encrypted files.

They are noted when they are stored, as nobody can read them at the target without an identity. The cleanup hook takes
the notes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import private
from .locking import locked_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..private import Place

DIRECTORY = "summaries"


def write_note(place: Place, timestamp: str, part: str, data: bytes) -> None:
    """Keep the note about one of gpbackup's files, in place of an earlier one. Raises LocalFileError."""
    with locked_directory(place, DIRECTORY, make=True) as directory:
        private.replace_in(directory, _name(place, timestamp, part), data)


def read_notes(place: Place, timestamp: str, parts: Iterable[str]) -> dict[str, bytes]:
    """The notes about a backup that are there. Raises LocalFileError."""
    found = {}
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        for part in parts:
            data = private.read_in(directory, _name(place, timestamp, part))
            if data is not None:
                found[part] = data
    return found


def remove_notes(place: Place, timestamp: str) -> None:
    """Remove the notes about a backup, and those of any backup that are older than a month. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        start = _name(place, timestamp, "")
        for name in os.listdir(directory):
            if name.startswith(start):
                private.unlink_in(directory, name)
        private.sweep(directory)


def _name(place: Place, timestamp: str, part: str) -> str:
    return f"{place.name_of(timestamp)}.{part}"
