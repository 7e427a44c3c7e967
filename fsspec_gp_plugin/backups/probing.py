"""Probes with small objects whether a target can do what a backup needs, once on each host before the backup.

A filesystem's own statements don't suffice: some report success for a rename that failed, some show an object that was
never finished, some can't write at all.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError
from ..integrity.object_names import FOLDER
from ..storage.reading import fetch_small, read_range
from .memory_filesystems import warn_of_spooling
from .parallel import run_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..storage.contract import ObjectInfo, Store

    # Takes a message about something that is no failure.
    Note = Callable[[str], None]

_BLOCK = 4096
_LOOKS = 5
_RANGE = (1000, _BLOCK + 1000)


def probe(store: Store, prefix: str, note: Note, warn: Note | None = None) -> None:
    """Do with a large object below the prefix what a backup and a restore will do. Raises StorageError if something
    does not work. The claim and the mark have already shown that small objects work. If `warn` is given, also do the
    check that is too expensive for each host.

    Reading, listing and deleting may be denied, as a backup needs only to write.
    """
    blocks = [secrets.token_bytes(_BLOCK), secrets.token_bytes(_BLOCK // 2)]
    # If parts have a minimum size, only a single part may be smaller.
    parts = blocks if store.capabilities.min_part_size <= _BLOCK else [b"".join(blocks)]
    # If they may not be deleted they stay, in the folder of this plugin's own objects.
    trial = Probe(store, prefix + FOLDER, f"probe_{unique_name('_')}", parts, note)
    try:
        if store.capabilities.parallel_parts:
            run_together(lambda: trial.abort(blocks), trial.write_parts)
            run_together(trial.read, trial.list)
        else:
            trial.abort(blocks)
            trial.write_parts()
            trial.read()
            trial.list()
        if warn is not None:
            warn_of_spooling(store, trial.abort, warn)
    finally:
        trial.delete()


def unique_name(separator: str) -> str:
    """A unique text for names of objects: this host's name, and a random text."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)[:64]
    return f"{host}{separator}{secrets.token_hex(4)}"


class Probe:
    """The steps of a probe, in this order. Each raises StorageError if the target can't do what a backup needs."""

    def __init__(self, store: Store, prefix: str, name: str, parts: list[bytes], note: Note) -> None:
        """The keys of the objects begin with `prefix` and `name`. `parts`: those of a large object, together more than
        5,096 bytes; all but the last have at least the store's minimum size.
        """
        self._store = store
        self._prefix = prefix
        self._name = name
        self._parts = parts
        self._note = note
        self._content = b"".join(parts)
        self._info: ObjectInfo | None = None
        self.aborted, self.written = f"{prefix}{name}_aborted", f"{prefix}{name}_written"

    def abort(self, blocks: Iterable[bytes]) -> None:
        """Begin an upload of these blocks, and abort it."""
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
        """Check that the aborted upload is not visible as an object."""
        try:
            self._store.stat(self.aborted)
        except (NotFound, AccessDenied):
            return  # without the right to read it is unknown
        raise self._not_aborted()

    def _not_aborted(self) -> StorageError:
        return StorageError(
            f"this target can't hold backups: an upload that was aborted is visible as an object ({self.aborted})"
        )

    def write(self) -> None:
        """Write an object by put(), and by a writer, if these are different requests."""
        self.put()
        self.write_parts()

    def put(self) -> None:
        """Write an object in one request, if the store does so for small objects."""
        if self._store.capabilities.single_request_put:
            self._store.put(self.written, memoryview(self._content))

    def write_parts(self) -> None:
        """Write an object by a writer, in parts."""
        writer = self._store.begin(self.written)
        try:
            for number, part in enumerate(self._parts, 1):
                writer.write(number, memoryview(part))
            writer.complete(len(self._content))
        except BaseException:
            try:
                writer.abort()
            except StorageError as error:
                # Also if a signal came between the end of the upload and its check: then the signal is raised.
                self._note(f"the probe's upload can't be aborted: {error}")
            raise

    def read(self) -> None:
        """Read the whole object, and a range of it."""
        self.read_back()
        self.read_range()

    def read_back(self) -> None:
        """Check that size and bytes of the object are those that were written."""
        try:
            info, content = fetch_small(self._store, self.written, max(1 << 20, len(self._content)))
        except AccessDenied as error:
            self._note_denied(error)
            return
        if content != self._content:
            raise StorageError(
                f"the target does not give back what was written: {len(content)} bytes of {len(self._content)} in "
                f"{self.written}; a store that keeps upload framing in the object needs "
                "`config_kwargs: {request_checksum_calculation: when_required}` in storage_options"
            )
        self._info = info

    def read_range(self) -> None:
        """Check that a range has the requested bytes. Does nothing if reading is denied."""
        if self._info is None:
            return
        try:
            cut = read_range(self._store, self._info, *_RANGE)
        except AccessDenied as error:
            self._note_denied(error)
            return
        if cut != self._content[slice(*_RANGE)]:
            raise StorageError(
                f"the target gives other bytes than those asked for when a range of {self.written} is read"
            )

    def list(self) -> None:
        """Check that the prefix's listing has the object with its size, and not the aborted one. If listing is denied,
        check by its key that there is no aborted object.
        """
        sizes: dict[str, int] = {}
        for look in range(_LOOKS):
            if look:
                time.sleep(1)  # listings of some stores are late
            try:
                sizes = {info.key: info.size for info in self._store.find(self._prefix + self._name)}
            except AccessDenied as error:
                self._note(f"these credentials can't list, so list_directory and delete_backup need others: {error}")
                self.require_absent()
                return
            if sizes.get(self.written) == len(self._content):
                if self.aborted in sizes:
                    raise self._not_aborted()
                return
        is_listed = self.written in sizes
        fault = f"{sizes[self.written]} bytes instead of {len(self._content)}" if is_listed else "no such object"
        raise StorageError(
            f"the target's listing of {self._prefix} is wrong: {fault}, after {self.written} was written"
        )

    def delete(self) -> None:
        """Delete the probe's objects."""
        try:
            self._store.delete([self.aborted, self.written])
        except PluginError as error:
            # Such as at a target that retains objects: the probe's is small, and is deleted with its backup.
            self._note(f"the probe's object {self.written} can't be deleted: {error}")

    def _note_denied(self, error: AccessDenied) -> None:
        self._note(f"these credentials can write but not read, so a restore needs others: {error}")
