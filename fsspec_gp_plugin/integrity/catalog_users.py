"""Which restores on this host need which catalogs: each setup hook leaves a note, each cleanup hook takes one away.

So a second restore of the same backup doesn't take the catalog from the first, nor the coordinator's hook that of the
segment host it runs on.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress

from .. import private
from ..errors import LocalFileError
from . import for_segments
from .catalog import DIRECTORY, FETCHED, Catalog

_SUFFIX = ".user"
_CONFIRMED = "\nconfirmed"


def begin(place: private.Place, timestamp: str, needed: list[str]) -> str:
    """Note that a restore of a backup needs the catalogs of these timestamps; returns the name of the note.
    LocalFileError.
    """
    directory = place.open_directory(DIRECTORY, make=True)
    try:
        private.sweep(directory)
        name = f"{place.name_of(timestamp)}.{secrets.token_hex(6)}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=directory), "w", encoding="ascii") as file:
            file.write("\n".join(needed))
    finally:
        os.close(directory)
    return name


def confirm(place: private.Place, name: str) -> None:
    """Add to a note that all that the restore needs is there; LocalFileError."""
    directory = place.open_directory(DIRECTORY)
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=directory), "w", encoding="ascii") as file:
            file.write(_CONFIRMED)
    except OSError as error:
        raise LocalFileError(f"can't write {place.path}/{DIRECTORY}/{name}: {error.strerror}") from error
    finally:
        os.close(directory)


def confirmed_within(place: private.Place, timestamp: str, seconds: float) -> list[str] | None:
    """The timestamps that a restore of a backup needs, where a hook on this host has confirmed in the last `seconds`
    that all is there; else None. LocalFileError.
    """
    try:
        directory = place.open_directory(DIRECTORY)
    except private.NoDirectoryError:
        return None
    try:
        for name in os.listdir(directory):
            if name.startswith(f"{place.name_of(timestamp)}.") and name.endswith(_SUFFIX):
                text = (private.read_in(directory, name) or b"").decode(errors="replace")
                age = time.time() - os.stat(name, dir_fd=directory).st_mtime
                if text.endswith(_CONFIRMED) and abs(age) < seconds:
                    return text.removesuffix(_CONFIRMED).split("\n")
    except OSError as error:
        raise LocalFileError(f"can't read {place.path}/{DIRECTORY}: {error.strerror}") from error
    finally:
        os.close(directory)
    return None


def end(place: private.Place, timestamp: str) -> None:
    """One restore of the backup has ended: catalogs that no other needs are removed; LocalFileError."""
    directory = place.open_directory(DIRECTORY)
    needed: set[str] = set()
    still: set[str] = set()
    try:
        ours = f"{place.name_of(timestamp)}."
        notes = [name for name in sorted(os.listdir(directory)) if name.endswith(_SUFFIX)]
        ended = next((name for name in notes if name.startswith(ours)), None)
        if ended is not None:
            needed = _read(directory, ended)
            with suppress(FileNotFoundError):
                os.unlink(ended, dir_fd=directory)
            target = place.name_of("")
            still = {one for name in notes if name != ended and target in name for one in _read(directory, name)}
    finally:
        os.close(directory)
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


def _read(directory: int, name: str) -> set[str]:
    try:
        with open(
            os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory), encoding="ascii"
        ) as file:
            return set(re.findall(r"[0-9]{14}", file.read()))
    except FileNotFoundError:
        return set()
