"""Decides from which of two targets a restore reads.

The setup hook decides once a host; a command that loses its target tells those that come after it, so that not every
table waits for a store that is gone.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from .. import private
from ..errors import ConfigError, LocalFileError, NotFound, PluginError, StorageError
from ..keys import timestamp_of
from ..storage.mirror import MirroredStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.contract import Store
    from .context import Context

_DIRECTORY = "sources"
# How long the first of two targets is waited for in the midst of a restore, and in a setup hook.
_PREFERRED_OUTAGE_SECONDS = 20.0
_HOOK_OUTAGE_SECONDS = 8.0
# And for how long one request of its may stand still.
_PREFERRED_STALL_SECONDS = 15.0
_HOOK_STALL_SECONDS = 5.0


def store_of_backup(context: Context, timestamp: str) -> Store:
    """Return the store from which a backup is read: the primary, with the replica for what the primary can't give."""
    return _mirror(context, timestamp) or _only_target(context)


def _only_target(context: Context) -> Store:
    is_replica = context.config.replica is not None and context.targets.primary_is_away
    return context.targets.replica() if is_replica else context.store


def _mirror(context: Context, timestamp: str) -> MirroredStore | None:
    """Return both targets, read as one; None if there is one target or one is out of reach."""
    targets = context.targets
    if context.config.replica is None or targets.primary_is_away:
        return None
    is_replica_preferred = _is_replica_preferred(context.config.place, timestamp)
    preferred, fallback = (
        (targets.replica, targets.primary) if is_replica_preferred else (targets.primary, targets.replica)
    )
    return MirroredStore(
        preferred(min(_PREFERRED_OUTAGE_SECONDS, targets.outage), _PREFERRED_STALL_SECONDS),
        fallback,
        preferred(),
        note=context.log.warning,
        lost=partial(_remember, context, timestamp, replica=not is_replica_preferred),
    )


def store_of_object(context: Context, key: str) -> Store:
    """As store_of_backup(), for one object: if it is a file, the kernel can copy it."""
    mirror = _mirror(context, timestamp_of(key))
    if mirror is None:
        return _only_target(context)
    if mirror.preferred.files is not None:
        with suppress(StorageError):
            mirror.preferred.stat(key)
            return mirror.preferred
    return mirror


def choose_source(context: Context, timestamp: str, require: Callable[[Store], None]) -> None:
    """Decide where a backup is read on this host: at the configured target, or where `require` raises a StorageError
    for that, and not for the replica, there.
    """
    if context.config.replica is None:
        require(context.store)
        return
    try:
        require(context.targets.primary(_HOOK_OUTAGE_SECONDS, _HOOK_STALL_SECONDS))
    except (StorageError, ConfigError) as problem:
        try:
            require(context.targets.replica())
        except (StorageError, ConfigError) as second:
            raise type(problem)(f"{problem}; and at the replica: {second}") from problem
        context.log.warning(f"{timestamp} is read from the replica {context.config.replica.url}: {problem}")
        _remember(context, timestamp, replica=True)
        context.targets.primary_is_away = not isinstance(problem, NotFound)
    else:
        _remember(context, timestamp, replica=False)


def remove_choice(context: Context) -> None:
    """Remove the choice at the end of a restore: the next restore begins with the primary."""
    if context.config.replica is None:
        return
    ours = context.config.place.name_of("")
    with suppress(OSError, PluginError), _directory(context.config.place) as directory:
        # Those of the backups that it builds upon, too. Another restore finds out again.
        for name in os.listdir(directory):
            if name.endswith(ours):
                os.unlink(name, dir_fd=directory)


@contextmanager
def _directory(place: private.Place, *, make: bool = False) -> Iterator[int]:
    directory = place.open_directory(_DIRECTORY, make=make)
    try:
        yield directory
    finally:
        os.close(directory)


def _is_replica_preferred(place: private.Place, timestamp: str) -> bool:
    with suppress(OSError, PluginError), _directory(place) as directory:
        os.stat(place.name_of(timestamp), dir_fd=directory)
        return True
    return False


def _remember(context: Context, timestamp: str, *, replica: bool) -> None:
    """Let the restores of a backup on this host begin with the replica, or with the primary."""
    name = context.config.place.name_of(timestamp)
    try:
        with _directory(context.config.place, make=replica) as directory:
            if replica:
                private.sweep(directory)
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o600, dir_fd=directory))
            else:
                os.unlink(name, dir_fd=directory)
    except (FileNotFoundError, private.NoDirectoryError):
        pass
    except (OSError, LocalFileError) as error:
        # Each restore finds out by itself, then, and waits for it.
        context.log.info(f"the target of {timestamp} can't be noted on this host: {error}")
