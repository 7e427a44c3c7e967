"""What a setup hook leaves beside a backup's catalog on this host for the hooks of its segments: some bytes."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import LocalFileError
from .catalog import DIRECTORY

if TYPE_CHECKING:
    from ..private import Place

_SUFFIX = ".required"


def write(place: Place, timestamp: str, data: bytes) -> None:
    """Keep them, whole or not at all; LocalFileError."""
    directory = place.open_directory(DIRECTORY, make=True)
    name = place.name_of(timestamp) + _SUFFIX
    working = f".{name}.{secrets.token_hex(6)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(working, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(data)
        os.rename(working, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        with suppress(OSError):
            os.unlink(working, dir_fd=directory)
        raise LocalFileError(f"can't write {os.path.join(place.path, DIRECTORY, name)}: {error.strerror}") from error
    finally:
        os.close(directory)


def read(place: Place, timestamp: str) -> bytes | None:
    """What is kept; None where nothing is. LocalFileError."""
    directory = place.open_directory(DIRECTORY)
    name = place.name_of(timestamp) + _SUFFIX
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalFileError(f"can't read {os.path.join(place.path, DIRECTORY, name)}: {error.strerror}") from error
    finally:
        os.close(directory)


def remove(place: Place, timestamp: str) -> None:
    """Forget them; LocalFileError."""
    directory = place.open_directory(DIRECTORY)
    try:
        with suppress(FileNotFoundError):
            os.unlink(place.name_of(timestamp) + _SUFFIX, dir_fd=directory)
    finally:
        os.close(directory)
