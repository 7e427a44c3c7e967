"""Locks a file or a directory of this host's state, for one process or thread at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..private import opened_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..private import Place


def try_lock(directory: int, name: str) -> AbstractContextManager[None] | None:
    """Lock the file of that name in an open directory until the end of the context. None if another process or thread
    has the lock. Makes the file; anybody may remove it. Raises OSError.
    """
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # If somebody has removed the file meanwhile, there may be a new one, and that one counts.
            if os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=directory, follow_symlinks=False)):
                locked, fd = fd, -1
                return _close_at_end(locked)
    finally:
        if fd >= 0:
            os.close(fd)
    return None


@contextmanager
def _close_at_end(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def locked_directory(place: Place, name: str, *, make: bool = False) -> Iterator[int]:
    """Open and lock a directory of this host's state, and yield its descriptor. Raises LocalFileError, and
    NoDirectoryError if there is no directory and `make` is not set.
    """
    with opened_directory(place, name, make=make) as directory:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
