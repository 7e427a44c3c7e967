"""Checks by one listing, before the first byte is read, that a target has everything that a restore needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..backups.missing import ARCHIVED, BY_GPBACKUP, BY_MANIFESTS, DataSearch, count_message
from ..backups.named_objects import find_by_name
from ..backups.parallel import run_together
from ..errors import AccessDenied, NotFound, StorageError
from ..integrity.contents import key_start
from ..integrity.object_names import is_plugins_own
from ..storage.reading import read_range
from .fetching import ESCAPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..backups.required import Required
    from ..integrity.catalog import Catalog, Difference
    from ..storage.contract import ObjectInfo, Store
    from .context import Context

_INCOMPLETE = "to restore what is there, set `restore_incomplete: on` and leave out the rest by filters of gprestore"
_THAW = f"take them out of the archive first; {_INCOMPLETE}"
# So many names are remembered of objects whose places among the others aren't known.
_MOST_NAMES = 10_000
# To find a file by its name takes about so many times as long as to list it among others.
_MANY_TIMES = 16


class Scope:
    """Which objects of a backup one hook looks for: all of them, the coordinator's, or those of one content id."""

    def __init__(self, timestamp: str, content: str | None = None, *, whole: bool = False) -> None:
        """Without a content id, and unless it is the whole backup: the coordinator's objects."""
        self.timestamp = timestamp
        self.has_files = content is None
        self.contents: range | None
        if content is not None:
            self.start = key_start(int(content), timestamp)
            self.contents = range(int(content), int(content) + 1) if int(content) >= 0 else range(0)
        elif whole:
            self.start, self.contents = "", None
        else:
            self.start, self.contents = f"gpbackup_{timestamp}", range(0)


class _Seen:
    """What a listing shows of the required objects."""

    def __init__(self, required: Required, scope: Scope) -> None:
        self._prefix = keys.backup_prefix(required.timestamp)
        self._there = DataSearch(required, scope.contents)
        self._archived = DataSearch(required, scope.contents)
        self._all_matter = bool(required.not_checked)
        self._files = dict.fromkeys(required.files if scope.has_files else (), False)
        self._others_archived: set[str] = set()
        self.count = 0

    def listed(self, found: Iterable[ObjectInfo]) -> Iterator[tuple[str, int]]:
        """Yield the listing as names and sizes, and note which required objects it has."""
        for info in found:
            self.count += 1
            name = info.key[len(self._prefix) :]
            self._take(name, archived=info.archived)
            yield name, info.size

    def _take(self, name: str, *, archived: bool) -> None:
        if (self._archived if archived else self._there).take(name):
            return
        if name not in self._files and not (self._all_matter and name.startswith("gpbackup_")):
            return
        if not archived:
            self._others_archived.discard(name)
        elif not self._files.get(name) and len(self._others_archived) < _MOST_NAMES:
            self._others_archived.add(name)
        if name in self._files:
            self._files[name] = self._files[name] or not archived

    def fault(self) -> StorageError | None:
        """Return an error for required objects that are missing or in the store's archive; None if there is none."""
        gone = [name for name in self._files if not self._files[name] and name not in self._others_archived]
        archived = sorted(self._others_archived)
        first_gone, first_archived = gone[:1], archived[:1]
        missing, thawing = len(gone), len(archived)
        if self._there.missing:
            for name in self._there.names_missing():
                if self._archived.has(name):
                    thawing += 1
                    first_archived = first_archived or [name]
                else:
                    missing += 1
                    first_gone = first_gone or [name]
        total = self._there.total + len(self._files)
        if first_gone:
            message = count_message(missing, total, "missing", f"{self._prefix}{first_gone[0]}")
            return NotFound(f"{message}; {BY_GPBACKUP}; {_INCOMPLETE}")
        if first_archived:
            return StorageError(
                f"{count_message(thawing, None, ARCHIVED, f'{self._prefix}{first_archived[0]}')}; {_THAW}"
            )
        return None


def check(
    context: Context, store: Store, scope: Scope, required: Required, catalog: Catalog | None, total: int = 0
) -> None:
    """Require everything that a restore needs: raise NotFound or StorageError, or warn with `restore_incomplete`.

    `catalog`: of the manifests, None where they are not looked at. What none of them names is warned of. `total`: how
    many objects the whole backup has, 0 if it is unknown.
    """
    named = catalog if catalog is not None and catalog.has("") else None
    if named is None and not required.count and not required.files:
        return
    prefix = keys.backup_prefix(scope.timestamp)

    def look(objects: Iterator[ObjectInfo]) -> tuple[StorageError | None, int]:
        """Return what is wrong, and the number of objects that no manifest names."""
        found = (info for info in objects if not is_plugins_own(info.key[len(prefix) :]))
        seen = _Seen(required, scope)
        different, unnamed = None, 0
        if named is not None:
            different, unnamed = named.compare(scope.start, seen.listed(found))
        else:
            for _ in seen.listed(found):
                pass
        if not seen.count and scope.has_files and named is None:  # though gpbackup's files were read
            context.log.info(f"{prefix} is not listed, so nothing tells whether all is there")
            return None, 0
        return difference_error(prefix, different) or seen.fault(), unnamed

    try:
        # Only a listing shows what is in the archive of a replica.
        total = 0 if context.config.replica is not None else total
        fault, unnamed = look(_find_objects(store, scope, required, named, total))
        if fault is not None and context.config.replica is not None:
            fault, unnamed = look(store.find_anywhere(prefix + scope.start))
    except AccessDenied as error:
        context.log.info(f"{prefix} can't be listed, so nothing tells whether all is there: {error}")
        return
    if unnamed:
        context.log.warning(f"{scope.timestamp}: {unnamed} objects are in no manifest and are restored unverified")
    if fault is not None:
        refuse(context, fault)


def _find_objects(
    store: Store, scope: Scope, required: Required, named: Catalog | None, total: int
) -> Iterator[ObjectInfo]:
    """The objects of a scope: by a listing, or by their names where a store can list only a whole directory, which has
    many times as many objects.
    """
    prefix = keys.backup_prefix(scope.timestamp)
    if not store.capabilities.lists_by_prefix and scope.start:
        names = set(DataSearch(required, scope.contents).names_missing())
        names.update(required.files if scope.has_files else ())
        names.update(entry.name for entry in (named.entries(scope.start) if named is not None else ()))
        if total > _MANY_TIMES * len(names):
            return find_by_name(store, (prefix + name for name in sorted(names)))
    return store.find(prefix + scope.start)


def require_tables_of_contents(store: Store, required: Required, later: str) -> None:
    """Raise NotFound unless the target has the segments' tables of contents of a backup with single data files: the
    restore of a later backup reads them.
    """
    prefix = keys.backup_prefix(required.timestamp)
    start = f"{prefix}gpbackup_"
    found = store.find_anywhere(start)
    search = DataSearch(required)
    for info in found:
        search.take(info.key[len(prefix) :])
    gone = next((name for name in search.names_missing() if name.endswith("_toc.yaml")), None)
    if gone is not None:
        raise NotFound(f"{prefix}{gone} is not at the target; the restore of {later}, an incremental backup, reads it")


def refuse(context: Context, fault: StorageError) -> None:
    """Raise the error, or log it as a warning with `restore_incomplete`."""
    if not context.config.restore_incomplete:
        raise fault
    context.log.warning(f"restored all the same, as `restore_incomplete` is on: {fault}")


def difference_error(prefix: str, found: Difference | None, next_step: str = _INCOMPLETE) -> StorageError | None:
    """Return an error for what a listing lacks of the manifests; `next_step`: the advice in its message."""
    if found is None:
        return None
    if found.size is not None:
        return StorageError(
            f"{prefix}{found.name} has {found.size} bytes, but {found.backed_up} were backed up, says its manifest; "
            f"{ESCAPE}"
        )
    state = "missing" if found.missing == 1 else "missing or of another size"
    return NotFound(
        f"{count_message(found.missing, found.total, state, f'{prefix}{found.name}')}; {BY_MANIFESTS}; {next_step}"
    )


def require_backup(context: Context, store: Store, prefix: str, timestamp: str) -> None:
    """A backup's table of contents and its report, which gpbackup writes when all else is there, can be read.

    A directory without any file of gpbackup's is let pass with a line in the log: gpbackup's own
    acceptance script restores such.
    """
    wanted = [f"{prefix}gpbackup_{timestamp}_{name}" for name in ("toc.yaml", "report")]
    there = run_together(*(partial(_is_there, store, key) for key in wanted))
    missing = [key for key, is_there in zip(wanted, there, strict=True) if not is_there]
    if not missing:
        return
    others = False
    for info in store.find(prefix):
        others = True
        if info.key.startswith(f"{prefix}gpbackup_"):
            raise NotFound(
                f"the backup {timestamp} is not complete: {missing[0].removeprefix(prefix)} is not at the target, "
                "so gpbackup did not finish it"
            )
    if not others:
        raise NotFound(
            f"there is no backup {timestamp} at {context.config.url}; check the timestamp and `url`"
            + (", and that every host sees the same directory" if context.config.url.startswith("file:") else "")
        )
    context.log.info(f"{prefix} holds no file of gpbackup's")


def _is_there(store: Store, key: str) -> bool:
    """Whether there is such an object, with something in it: an empty one was put there to try the target.

    Its last byte can be read, also as a range: large objects are read so, and there are servers that send none.
    """
    try:
        info = store.stat(key)
    except NotFound:
        return False
    if info.size:
        read_range(store, info, info.size - 1, info.size)
    return info.size > 0
