"""Local files: those that are sent, and those that are being fetched. Each of these gets its path when it is whole, and
nothing of it stays before.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import LocalFileError, PluginError
from ..keys import unfinished_key

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def reading(path: str) -> Iterator[int]:
    """A descriptor of a regular file; LocalFileError, which names it, where it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise LocalFileError(f"can't read {path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise LocalFileError(f"can't read {path}: it is not a regular file")
        yield fd
    except LocalFileError as error:
        raise LocalFileError(str(error).replace("the input", path, 1)) from error
    finally:
        os.close(fd)


class WorkingFiles:
    """The working files of one call. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._closed = False

    @contextmanager
    def replacing(self, path: str) -> Iterator[int]:
        """A descriptor of a working file beside the path, for this user only, which takes its place on success."""
        working = unfinished_key(path, secrets.token_hex(6))
        fd = -1
        try:
            with self._lock:
                if self._closed:
                    raise PluginError("the command has ended")
                self._paths.add(working)
                fd = os.open(working, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            yield fd
            os.fsync(fd)
            os.rename(working, path)
        except BaseException as error:
            _remove(working)
            if isinstance(error, OSError):
                raise LocalFileError(f"can't write {path}: {error.strerror}") from error
            if isinstance(error, LocalFileError):
                raise LocalFileError(str(error).replace("the output", path, 1)) from error
            raise
        finally:
            if fd >= 0:
                os.close(fd)
            with self._lock:
                self._paths.discard(working)

    def close(self) -> None:
        """Begin no other one."""
        with self._lock:
            self._closed = True

    def remove(self) -> None:
        """Remove all of them. Takes no lock: it is also the last thing that is done."""
        for path in list(self._paths):
            _remove(path)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
