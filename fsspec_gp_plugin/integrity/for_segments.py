"""What a setup hook leaves beside a backup's catalog on this host for the hooks of its segments: some bytes."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .. import private
from ..errors import LocalFileError
from .catalog import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..private import Place

_SUFFIX = ".required"


def write(place: Place, timestamp: str, data: bytes) -> None:
    """Keep them, whole or not at all; LocalFileError."""
    with _opened(place, make=True) as directory:
        private.replace_in(directory, place.name_of(timestamp) + _SUFFIX, data)


def read(place: Place, timestamp: str) -> bytes | None:
    """What is kept; None where nothing is. LocalFileError."""
    with _opened(place) as directory:
        return private.read_in(directory, place.name_of(timestamp) + _SUFFIX)


def remove(place: Place, timestamp: str) -> None:
    """Forget them; LocalFileError."""
    with _opened(place) as directory, suppress(FileNotFoundError):
        os.unlink(place.name_of(timestamp) + _SUFFIX, dir_fd=directory)


@contextmanager
def _opened(place: Place, *, make: bool = False) -> Iterator[int]:
    directory = place.open_directory(DIRECTORY, make=make)
    try:
        yield directory
    except OSError as error:
        raise LocalFileError(f"can't use {os.path.join(place.path, DIRECTORY)}: {error.strerror}") from error
    finally:
        os.close(directory)
