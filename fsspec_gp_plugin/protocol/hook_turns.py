"""Hooks of one backup or restore that come to a host at once take turns: the second finds what the first has done."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from ..errors import LocalFileError
from ..integrity.locking import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .context import Context

_DIRECTORY = "hooks"
_PAUSE_SECONDS = 0.01


@contextmanager
def take_turn(context: Context, timestamp: str) -> Iterator[None]:
    """Only one hook of a backup is inside at a time on this host. Where the host can't keep a lock, hooks don't take
    turns: each then does everything itself.
    """
    place = context.config.place
    try:
        directory = place.open_directory(_DIRECTORY, make=True)
    except LocalFileError as error:
        context.log.verbose(f"hooks don't take turns on this host: {error}")
        yield
        return
    name = place.name_of(timestamp)
    try:
        with _lock(context, directory, name):
            yield
    finally:
        os.close(directory)


@contextmanager
def _lock(context: Context, directory: int, name: str) -> Iterator[None]:
    try:
        while (lock := try_lock(directory, name)) is None:
            context.require_not_interrupted()
            time.sleep(_PAUSE_SECONDS)
    except OSError as error:  # as on a network file system without locks
        context.log.verbose(f"hooks don't take turns on this host: {error}")
        lock = nullcontext()
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
