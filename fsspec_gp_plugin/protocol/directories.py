"""Whole directories, for people and scripts: list, delete, upload, download; and the deletion of one backup.

A directory's objects lie below keys.directory_prefix() of its path, with their paths inside it kept.
"""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import as_completed
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from .. import keys
from ..backups import backup_deletion
from ..backups.ownership import require_ours
from ..commands import ANY_CLUSTER
from ..config.values import format_size
from ..errors import LocalFileError, NotFound, UsageError
from ..integrity.cluster import cluster_here
from ..integrity.entries import is_object_name
from ..integrity.object_names import is_plugins_own
from ..redaction import in_one_line
from ..workers import Workers
from .comparing import compare_with_manifests
from .data import send_file
from .decrypting import openings
from .journaling import put_manifest_of
from .restore_source import store_of_backup
from .watched_deletion import telling_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..age.opening import Opening
    from ..storage.contract import ObjectInfo, Store
    from .context import Context

_T = TypeVar("_T")

_DEFAULT_PARALLEL = "5"
# Files at a time, each with a part flying and one filling: 8 × 2 × 8 MB is the budget of one stream.
_MOST_PARALLEL = 8


def list_directory(context: Context, path: str = "") -> None:
    """Print key and size in bytes of every object below a path, or of all objects."""
    prefix = keys.directory_prefix(path)
    found = sorted(context.store.find(prefix), key=lambda info: info.key)
    width = max([len(info.key) for info in found] + [len("NAME")])
    lines = [f"{'NAME':<{width}}  SIZE(bytes)"]
    lines += [f"{in_one_line(info.key):<{width}}  {info.size}" for info in found]
    context.print_line("\n".join(lines))
    context.log_success(f"{prefix or '/'}, {len(found)} objects")


def delete_directory(context: Context, path: str) -> None:
    """Delete every object below a path. The whole target is refused."""
    prefix = keys.directory_prefix(path)
    if not prefix:
        raise UsageError(f"{path!r} is the whole target; name a directory below it")
    if prefix == "backups/":
        raise UsageError(f"{path!r} holds every backup; delete one by `delete_backup`, or those of a day by its path")
    store = context.store
    with telling_progress(context, prefix) as progress:
        count = backup_deletion.delete_all(store, prefix, context.log.info, progress)
    context.print_line(f"Deleted {count} objects below {prefix}")
    context.log_success(f"{prefix}, {count} objects")


def backup_directory(context: Context, path: str) -> None:
    """Store every file below a local directory, one after another."""
    _backup(context, path, 1)


def backup_directory_parallel(context: Context, path: str, parallel: str = _DEFAULT_PARALLEL) -> None:
    """Store every file below a local directory, several at a time."""
    _backup(context, path, _count(parallel))


def restore_directory(context: Context, path: str) -> None:
    """Fetch every object of a directory into the local one, one after another."""
    _restore(context, path, 1)


def restore_directory_parallel(context: Context, path: str, parallel: str = _DEFAULT_PARALLEL) -> None:
    """Fetch every object of a directory into the local one, several at a time."""
    _restore(context, path, _count(parallel))


def _backup(context: Context, path: str, parallel: int) -> None:
    folder = os.path.abspath(path)
    prefix = keys.directory_prefix(folder)
    settings = context.upload_settings
    if parallel > 1:
        settings = settings._replace(concurrency=1)
    _ = context.store  # made here, before the threads would each make one

    is_backup = keys.is_backup_prefix(prefix)
    sent: list[ObjectInfo] = []

    def send(name: str) -> int:
        if is_backup and not is_object_name(name):
            raise LocalFileError(f"{os.path.join(folder, name)}: its name is too long, or none that can be restored")
        info = send_file(context, os.path.join(folder, name), prefix + name, settings)
        sent.append(info)
        return info.size

    def finish() -> None:
        if is_backup:
            put_manifest_of(context, prefix, sent, folder)

    names = list(_files_below(folder))
    if context.config.encryption_recipients:
        # Those of an earlier upload describe objects that are not these encrypted ones.
        names = [name for name in names if not _is_plugins_own(prefix + name)]
    _each(context, f"{folder} → {prefix}", "Uploaded", names, send, parallel, finish)


def _restore(context: Context, path: str, parallel: int) -> None:
    folder = os.path.abspath(path)
    prefix = keys.directory_prefix(folder)
    settings = context.download_settings
    if parallel > 1:
        settings = settings._replace(concurrency=1)

    def fetch(info: ObjectInfo) -> int:
        name = info.key[len(prefix) :]
        if not is_object_name(name):
            raise LocalFileError(f"{info.key!r} would be written outside of {folder}, or is no name of a file")
        target = os.path.join(folder, name)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        except OSError as error:
            raise LocalFileError(f"can't make {os.path.dirname(target)}: {error.strerror}") from error
        expected = manifests.of(info.key)
        return context.fetch_file(store, info.key, target, settings, expected, opening(info.key)).size

    store = store_of_backup(context, keys.timestamp_of(prefix)) if keys.is_backup_prefix(prefix) else context.store
    listed = store.find_anywhere(prefix)
    found = [info for _, info in sorted({info.key: info for info in listed}.items())]
    opening = openings(context)
    if not found:
        raise NotFound(f"there are no objects below {prefix or '/'}")
    with compare_with_manifests(context, prefix, store) as manifests:
        manifests.require(found)
        describes = _find_descriptions(store, found, opening)
        wanted = [info for info in found if info.key not in describes]
        _each(context, f"{prefix} → {folder}", "Downloaded", wanted, fetch, parallel)


def _find_descriptions(
    store: Store, found: list[ObjectInfo], opening: Callable[[str], Opening | None]
) -> frozenset[str]:
    """The keys of the plugin's own objects that describe encrypted ones: those that are fetched are decrypted, and when
    they are stored again, they get descriptions of their own.
    """
    from ..age.header import VERSION_LINE, begins_like_header
    from ..storage.reading import fetch_small

    described: dict[str, str] = {}
    own = []
    for info in found:
        if (backup := keys.backup_of_key(info.key)) is not None:
            if is_plugins_own(backup[1]):
                own.append((info.key, backup[0]))
            else:
                described.setdefault(backup[0], info.key)

    @lru_cache(maxsize=64)
    def is_encrypted(timestamp: str) -> bool:
        key = described.get(timestamp)
        how = None if key is None else opening(key)
        if key is None or how is None or how.is_encrypted is not None:
            return how is not None and how.is_encrypted is True
        return begins_like_header(fetch_small(store, key, len(VERSION_LINE))[1])  # nobody claims it

    return frozenset(key for key, timestamp in own if is_encrypted(timestamp))


def _is_plugins_own(key: str) -> bool:
    backup = keys.backup_of_key(key)
    return backup is not None and is_plugins_own(backup[1])


def _each(
    context: Context,
    what: str,
    verb: str,
    items: list[_T],
    work: Callable[[_T], int],
    parallel: int,
    finish: Callable[[], None] = lambda: None,
) -> None:
    """Do the work, which returns bytes, for every item, and at last `finish`; the first failure ends it all."""
    started = time.monotonic()
    # More would exceed the memory of one stream; each of them still has a part flying and one filling.
    pool = Workers(max_workers=min(parallel, _MOST_PARALLEL))
    try:
        size = sum(future.result() for future in as_completed([pool.submit(work, item) for item in items]))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    finish()
    seconds = time.monotonic() - started
    context.print_line(f"{verb} {len(items)} files ({size} bytes, {format_size(size)}) in {seconds:.1f} s")
    context.log_success(f"{what}, {len(items)} files", size)


def _files_below(folder: str) -> Iterable[str]:
    """Return the paths, relative to the directory, of all files in it. Raises an error for anything but a file."""

    def fail(error: OSError) -> None:
        raise LocalFileError(f"can't read {error.filename}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                raise LocalFileError(f"{os.path.join(parent, name)} is a link to a directory, which is not followed")
        for name in sorted(names):
            path = os.path.join(parent, name)
            try:
                regular = stat.S_ISREG(os.stat(path).st_mode)
            except OSError as error:
                raise LocalFileError(f"can't read {path}: {error.strerror}") from error
            if not regular:
                raise LocalFileError(f"{path} is not a regular file")
            if os.fsencode(name).decode(errors="replace") != name:
                raise LocalFileError(f"{path!r} is not a name in UTF-8, which object keys are")
            if not keys.is_unfinished(path):
                yield os.path.relpath(path, folder)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise UsageError(f"{text!r} is not a number of files at a time: expected 1 to 64")
    return int(text)


def delete_backup(context: Context, timestamp: str, option: str = "") -> None:
    """Delete exactly the backup of that timestamp. One that is gone already is no error; one that another cluster
    claims is, unless the option is `--any-cluster`.
    """
    if option not in ("", ANY_CLUSTER):
        raise UsageError(f"delete_backup has no option {option!r}; it knows {ANY_CLUSTER}")
    store, config = context.store, context.config
    if not option:
        require_ours(
            store, timestamp, cluster_here(config.cluster, config.pgport, context.environment), context.log.info
        )
    with telling_progress(context, timestamp) as progress:
        count, kept = backup_deletion.delete_backup(store, config.place, timestamp, context.log.info, progress)
    if kept:
        context.log.warning(f"{timestamp}: {kept}")
    context.log_success(f"{timestamp}, {count} objects")
