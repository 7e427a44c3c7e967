"""Does a target do what a backup needs? Tried for real, in small, once a host, before the data flows.

Whatever a filesystem says of itself, it is what it does that counts: some answer a rename that failed with success,
some make an object visible that was never finished, some can't write at all.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError
from ..integrity.manifest import FOLDER
from ..storage.reading import fetched, part_of
from .parallel import side_by_side
from .spooling import tell_spooling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..storage.contract import ObjectInfo, Store

    # Takes what is not as it might be, and yet no failure.
    Note = Callable[[str], None]

_BLOCK = 4096
_LOOKS = 5
_RANGE = (1000, _BLOCK + 1000)


def probe(store: Store, prefix: str, note: Note, warn: Note | None = None) -> None:
    """Do with a large object below the prefix what a backup and a restore will do; StorageError for what does not work.
    Claim and mark, which lie there already, have shown the way of small ones. `warn` is for what costs too much to be
    looked for on each host.

    Credentials that may only write are enough for a backup, so reading, listing and deleting may be denied.
    """
    blocks = [secrets.token_bytes(_BLOCK), secrets.token_bytes(_BLOCK // 2)]
    # Where parts have a least size, the only one may be smaller.
    parts = blocks if store.capabilities.min_part_size <= _BLOCK else [b"".join(blocks)]
    # Where they may not be deleted they stay, and are none of gpbackup's objects.
    tried = Probe(store, prefix + FOLDER, f"probe_{unique_name('_')}", parts, note)
    try:
        if store.capabilities.parallel_parts:
            side_by_side(lambda: tried.abort(blocks), tried.write_parts)
            side_by_side(tried.read, tried.list)
        else:
            tried.abort(blocks)
            tried.write_parts()
            tried.read()
            tried.list()
        if warn is not None:
            tell_spooling(store, tried, warn)
    finally:
        tried.delete()


def unique_name(separator: str) -> str:
    """For names of objects that no other process makes: this host's, and what nobody guesses."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)[:64]
    return f"{host}{separator}{secrets.token_hex(4)}"


class Probe:
    """Steps to be tried in this order; each raises StorageError where the target does not do what a backup needs."""

    def __init__(self, store: Store, prefix: str, name: str, parts: list[bytes], note: Note) -> None:
        """Objects get `prefix` and `name` as the beginning of their keys. `parts` are those of a large one, together
        more than 5,096 bytes; all but the last have at least the store's least size.
        """
        self._store = store
        self._prefix = prefix
        self._parts = parts
        self._note = note
        self._content = b"".join(parts)
        self._info: ObjectInfo | None = None
        self.aborted, self.written = f"{prefix}{name}_aborted", f"{prefix}{name}_written"

    def abort(self, blocks: Iterable[bytes]) -> None:
        """Begin an upload of those blocks, and take it back."""
        writer = self._store.begin(self.aborted)
        try:
            for number, block in enumerate(blocks, 1):
                writer.write(number, memoryview(block))
        except BaseException:
            try:
                writer.abort()
            except StorageError as error:
                self._note(f"the probe's upload can't be aborted: {error}")
            raise
        try:
            writer.abort()
        except AccessDenied as error:
            self._note(f"these credentials can't abort uploads, so failed ones stay in the store: {error}")

    def require_absent(self) -> None:
        """What was aborted is no object."""
        try:
            self._store.stat(self.aborted)
        except (NotFound, AccessDenied):
            return  # who may not look can't tell
        raise self._not_aborted()

    def _not_aborted(self) -> StorageError:
        return StorageError(
            f"this target can't hold backups: an upload that was aborted is visible as an object ({self.aborted})"
        )

    def write(self) -> None:
        """By the way that small objects go, and, where that is another, by the way of large ones."""
        self.put()
        self.write_parts()

    def put(self) -> None:
        """By the way that small objects go, where that is not the way of large ones."""
        if self._store.capabilities.single_request_put:
            self._store.put(self.written, memoryview(self._content))

    def write_parts(self) -> None:
        """By the way of large objects."""
        writer = self._store.begin(self.written)
        try:
            for number, part in enumerate(self._parts, 1):
                writer.write(number, memoryview(part))
            writer.complete(len(self._content))
        except BaseException:
            try:
                writer.abort()
            except StorageError as error:
                # Also where a signal came between the end of the upload and the look at it: the signal counts.
                self._note(f"the probe's upload can't be aborted: {error}")
            raise

    def read(self) -> None:
        """The whole, and a range."""
        self.read_back()
        self.read_range()

    def read_back(self) -> None:
        """Size and bytes are those that were written."""
        try:
            info, found = fetched(self._store, self.written, max(1 << 20, len(self._content)))
        except AccessDenied as error:
            self._can_not_read(error)
            return
        if found != self._content:
            raise StorageError(
                f"the target does not give back what was written: {len(found)} bytes of {len(self._content)} in "
                f"{self.written}; a store that keeps upload framing in the object needs "
                "`config_kwargs: {request_checksum_calculation: when_required}` in storage_options"
            )
        self._info = info

    def read_range(self) -> None:
        """A range is the bytes that were asked for. Nothing is tried where reading is denied."""
        if self._info is None:
            return
        try:
            cut = part_of(self._store, self._info, *_RANGE)
        except AccessDenied as error:
            self._can_not_read(error)
            return
        if cut != self._content[slice(*_RANGE)]:
            raise StorageError(
                f"the target gives other bytes than those asked for when a range of {self.written} is read"
            )

    def list(self) -> None:
        """The listing of the prefix has the object, in its size, and not the one that was aborted. Where listing is
        denied, that one is asked for by its key.
        """
        found: dict[str, int] = {}
        for look in range(_LOOKS):
            if look:
                time.sleep(1)  # some stores' listings lag behind
            try:
                found = {info.key: info.size for info in self._store.find(self._prefix)}
            except AccessDenied as error:
                self._note(f"these credentials can't list, so list_directory and delete_backup need others: {error}")
                self.require_absent()
                return
            if found.get(self.written) == len(self._content):
                if self.aborted in found:
                    raise self._not_aborted()
                return
        is_there = self.written in found
        told = f"{found[self.written]} bytes instead of {len(self._content)}" if is_there else "no such object"
        raise StorageError(f"the target's listing of {self._prefix} is wrong: {told}, after {self.written} was written")

    def delete(self) -> None:
        """Leave nothing behind."""
        try:
            self._store.delete([self.aborted, self.written])
        except PluginError as error:
            # Also when the target keeps its objects for a time: the probe's is small and goes with its backup.
            self._note(f"the probe's object {self.written} stays behind: {error}")

    def _can_not_read(self, error: AccessDenied) -> None:
        self._note(f"these credentials can write but not read, so a restore needs others: {error}")
