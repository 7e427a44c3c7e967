"""Keeps on this host what the claim of a backup says, so that not every command of a restore reads the claim.

The setup hook of a restore leaves a record until its cleanup hook; a command without a setup hook leaves one for the
commands after it. Both go with the catalogs.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from .. import private
from .catalog_files import CLAIM, DIRECTORY, FETCHED
from .claim import BadClaim, Claim, decode

if TYPE_CHECKING:
    from ..private import Place

# A record that no setup hook has left may be about a backup that was replaced since.
_FRESH_SECONDS = 3600.0


class ClaimRecord(NamedTuple):
    """What is kept: the claim, None if the backup has none or it can't be read."""

    claim: Claim | None


def write_record(place: Place, timestamp: str, claim: Claim | None, purpose: str = "") -> None:
    """Keep what is known of a backup's claim. `purpose`: FETCHED without a setup hook. Raises LocalFileError."""
    with private.opened_directory(place, DIRECTORY, make=True) as directory:
        data = b"" if claim is None else claim.encode()
        private.replace_in(directory, _name(place, timestamp, purpose), data)


def read_record(place: Place, timestamp: str) -> ClaimRecord | None:
    """What is kept of a backup's claim; None if nothing is. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), private.opened_directory(place, DIRECTORY) as directory:
        for purpose in ("", FETCHED):
            name = _name(place, timestamp, purpose)
            data = private.read_in(directory, name)
            if data is not None and (not purpose or _is_fresh(directory, name)):
                with suppress(BadClaim):  # another version has written it
                    return ClaimRecord(decode(name, timestamp, data) if data else None)
    return None


def _name(place: Place, timestamp: str, purpose: str) -> str:
    return place.name_of(timestamp) + purpose + CLAIM


def _is_fresh(directory: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        return abs(time.time() - os.stat(name, dir_fd=directory).st_mtime) < _FRESH_SECONDS
    return False
