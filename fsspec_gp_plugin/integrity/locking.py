"""A right that one process or thread of a host has at a time, as a lock on a file or a directory."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..private import Place


def lock_at_once(directory: int, name: str) -> AbstractContextManager[None] | None:
    """The lock on the file of that name in an open directory, held until the end of the context; None where another
    has it. OSError. The file is made, and may be removed by anybody.
    """
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever removed the file meanwhile made room for another one, which is the one to be locked.
            if os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=directory, follow_symlinks=False)):
                held, fd = fd, -1
                return _held(held)
    finally:
        if fd >= 0:
            os.close(fd)
    return None


@contextmanager
def _held(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def one_at_a_time(place: Place, name: str, *, make: bool = False) -> Iterator[int]:
    """A descriptor of one of the directories of this host's state, for one process or thread at a time.
    NoDirectoryError where there is none, unless `make` wants one; LocalFileError.
    """
    directory = place.open_directory(name, make=make)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
    except OSError as error:
        raise LocalFileError(f"can't use {os.path.join(place.path, name)}: {error.strerror}") from error
    finally:
        os.close(directory)
