"""Setup and cleanup, which gpbackup and gprestore call on every host before and after the data flows.

What can be known to fail must fail here: a restore_data that fails later makes gprestore hang.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import keys
from ..errors import AccessDenied, NotFound, StorageError, UsageError
from .directories import remove_unfinished

if TYPE_CHECKING:
    from ..storage.api import ObjectInfo, Store
    from .context import Context

# "master" and "coordinator" mean the same; both run before the segment hosts, which run before the segments.
_HOST_SCOPES = ("master", "coordinator", "segment_host")
_SCOPES = (*_HOST_SCOPES, "segment")


def setup_plugin_for_backup(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Prove, once a host, that the target can be written."""
    prefix, timestamp = _checked(directory, scope, content)
    # Configuration errors show in every scope; the requests are made once a host.
    store = context.store
    if scope in _HOST_SCOPES:
        _probe_writing(context, store, prefix, timestamp)
    _done(context, timestamp, scope, content)


def setup_plugin_for_restore(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Prove, once a host, that the target can be read and that the backup is there."""
    prefix, timestamp = _checked(directory, scope, content)
    store = context.store
    if scope in _HOST_SCOPES:
        _require_backup(context, store, prefix, timestamp)
    _done(context, timestamp, scope, content)


def cleanup_plugin_for_backup(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Take back the uploads of processes that were killed; all others clean up after themselves.

    It never fails for that: what gpbackup has backed up is complete by now, or gpbackup has told otherwise.
    """
    prefix, timestamp = _checked(directory, scope, content)
    if scope in _HOST_SCOPES:
        try:
            remove_unfinished(context, prefix)
        except StorageError as error:
            context.log.info(f"unfinished uploads could not be looked for: {error}")
    _done(context, timestamp, scope, content)


def cleanup_plugin_for_restore(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Nothing is left to clean up: every command cleans up after itself."""
    _, timestamp = _checked(directory, scope, content)
    _done(context, timestamp, scope, content)


def _checked(directory: str, scope: str, content: str) -> tuple[str, str]:
    """The backup's prefix and timestamp."""
    if scope not in _SCOPES:
        raise UsageError(f"unknown scope {scope!r}: expected {', '.join(_SCOPES)}")
    if content and not re.fullmatch(r"-?[0-9]+", _bare(content)):
        raise UsageError(f"{content!r} is not a content id: expected a number such as -1 or 0")
    return keys.backup_of_directory(directory)


def _done(context: Context, timestamp: str, scope: str, content: str) -> None:
    context.done(f"{timestamp} {scope} {_bare(content)}".rstrip())


def _bare(content: str) -> str:
    """On the coordinator the content id arrives with the shell's double quotes in it."""
    return content.strip('"')


def _probe_writing(context: Context, store: Store, prefix: str, timestamp: str) -> None:
    """Do what a backup will do, small: an upload that is aborted, an object that is read and deleted.

    Credentials that may only write are enough for a backup, so reading and deleting may be denied.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)[:64]
    key = f"{prefix}gpbackup_{timestamp}_probe_{host}_{secrets.token_hex(4)}"
    payload = secrets.token_bytes(4096)
    _probe_aborting(context, store, key, payload)
    try:
        store.put(key, memoryview(payload))
        _probe_reading(context, store, key, payload)
    finally:
        try:
            store.delete([key])
            store.delete_empty_directories(prefix)
        except StorageError as error:
            # Also when the target keeps its objects for a time: the probe's is small and goes with its backup.
            context.log.info(f"the probe's object {key} stays behind: {error}")


def _probe_aborting(context: Context, store: Store, key: str, payload: bytes) -> None:
    writer = store.begin(key)
    try:
        writer.write(1, memoryview(payload))
    except BaseException:
        with suppress(StorageError):
            writer.abort()
        raise
    try:
        writer.abort()
    except AccessDenied as error:
        context.log.info(f"these credentials can't abort uploads, so failed ones stay in the store: {error}")


def _probe_reading(context: Context, store: Store, key: str, payload: bytes) -> None:
    try:
        found = _content(store, store.stat(key))
    except AccessDenied as error:
        context.log.info(f"these credentials can write but not read, so a restore needs others: {error}")
        return
    if found != payload:
        raise StorageError(
            f"the target does not give back what was written: {len(found)} bytes of {len(payload)} in {key}; "
            "a store that keeps upload framing in the object needs "
            "`config_kwargs: {request_checksum_calculation: when_required}` in storage_options"
        )


def _content(store: Store, info: ObjectInfo, most: int = 1 << 20) -> bytes:
    """An object's first bytes."""
    buffer = bytearray(min(info.size, most))
    with memoryview(buffer) as view:
        for _ in store.read(info, 0, view):
            pass
    return bytes(buffer)


def _require_backup(context: Context, store: Store, prefix: str, timestamp: str) -> None:
    """A backup's table of contents or its metadata is there and can be read.

    A directory without any file of gpbackup's is let pass with a line in the log: gpbackup's own
    acceptance script restores such.
    """
    for name in (f"gpbackup_{timestamp}_toc.yaml", f"gpbackup_{timestamp}_metadata.sql"):
        try:
            info = store.stat(prefix + name)
        except NotFound:
            continue
        _content(store, info, 1)
        return
    others = False
    for info in store.find(prefix):
        others = True
        if info.key.startswith(f"{prefix}gpbackup_"):
            raise NotFound(
                f"the backup {timestamp} is not complete: neither its table of contents nor its metadata is at "
                f"the target, so gpbackup did not finish it"
            )
    if not others:
        raise NotFound(
            f"there is no backup {timestamp} at {context.config.url}; check the timestamp and `url`"
            + (", and that every host sees the same directory" if context.config.url.startswith("file:") else "")
        )
    context.log.info(f"{prefix} holds no file of gpbackup's")
