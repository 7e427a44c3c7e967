"""Writes down each object of a backup when it is stored, and makes the manifest of a host."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import keys
from ..errors import ConfigError, LocalFileError, StorageError
from ..integrity.run_state import remember_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..integrity.claim import Encryption
    from ..integrity.entries import Entry
    from ..integrity.manifest_packing import PackedSummary
    from ..integrity.run_state import Run
    from ..storage.contract import ObjectInfo
    from .context import Context


_WITHOUT_NOTE = "the manifest has no summary of it, so commands without an identity show less of this backup"


def store_and_journal(context: Context, key: str, send: Callable[[], ObjectInfo]) -> ObjectInfo:
    """Store an object of a backup by `send`, and note its size and checksum on this host.

    What can't be noted fails before it is stored, or is taken back.
    """
    if context.config.checksum == "off":
        return send()
    from ..integrity.entries import Entry
    from ..integrity.journal import Journal

    _, timestamp, name = keys.parts_of(key)
    with Journal(context.config.place, timestamp) as journal:
        journal.prepare()
        sent = send()
        if sent.crc32c is not None:
            try:
                journal.add(Entry(name, sent.size, sent.crc32c))
            except LocalFileError:
                context.store.delete([key])
                raise
    return sent


def note_for_summary(context: Context, path: str, key: str) -> None:
    """If a local file of gpbackup's is stored encrypted, keep on this host what the coordinator's manifest will say of
    it. What can't be noted is logged, and is missing there.
    """
    if not context.config.encryption_recipients:
        return
    from ..backups.summarizing import NoNoteError, make_note, part_of
    from ..integrity.summary_notes import write_note

    timestamp = keys.timestamp_of(key)
    if part := part_of(key, timestamp):
        try:
            write_note(context.config.place, timestamp, part, make_note(path, part))
        except (LocalFileError, NoNoteError, OSError) as error:
            context.log.warning(f"{key}: {error}; {_WITHOUT_NOTE}")


def require_catalogs(context: Context) -> None:
    """Raise LocalFileError if this host could not compare what it restores."""
    if context.config.checksum == "off":
        return
    from ..integrity.temporary_database import require_sqlite

    try:
        require_sqlite()
    except LocalFileError as error:
        raise LocalFileError(f"{error}; `checksum: off` does without") from None


def begin_journal(context: Context, timestamp: str) -> None:
    """Prove that this host can write its journal, and remove journals that are no longer needed."""
    if context.config.checksum == "off":
        return
    from ..integrity.journal import Journal
    from ..integrity.summary_notes import remove_notes

    with Journal(context.config.place, timestamp) as journal:
        journal.remove(whole=True)
        journal.sweep()
        journal.prepare()
    remove_notes(context.config.place, timestamp)


def store_manifest(context: Context, prefix: str, timestamp: str, run: Run | None) -> bool:
    """Make one manifest of what this host has noted, and store it beside the backup: an empty one, too, where the host
    left its mark, once a run. Returns whether there was anything to store.
    """
    from ..integrity.entry_sorting import sort_entries
    from ..integrity.journal import open_journals
    from ..integrity.summary_notes import remove_notes

    with open_journals(context.config.place, timestamp) as journals:
        with sort_entries(entry for journal in journals for entry in journal.take()) as entries:
            damaged = sum(journal.damaged for journal in journals)
            if damaged:
                context.log.error(
                    f"{damaged} entries of the journal of {timestamp} can't be read; these objects are unverified"
                )
            count = len(entries)
            is_needed = bool(count) or (run is not None and not run.has_manifest)
            if is_needed:
                summary = _summary_by_notes(context, timestamp, run)
                _put_manifest(context, prefix, timestamp, entries, count, run, summary)
        if run is not None:
            remember_run(context.config.place, timestamp, run._replace(has_manifest=True))
        for journal in journals:
            journal.remove()
        with suppress(LocalFileError):
            remove_notes(context.config.place, timestamp)
        return is_needed


def _summary_by_notes(context: Context, timestamp: str, run: Run | None) -> PackedSummary | None:
    """What this host has noted of gpbackup's encrypted files. None if it has noted nothing."""
    if not context.config.encryption_recipients:
        return None
    from ..backups.summarizing import PARTS
    from ..integrity.summary_notes import read_notes

    try:
        notes = read_notes(context.config.place, timestamp, PARTS)
    except LocalFileError as error:
        context.log.warning(f"{timestamp}: {error}; {_WITHOUT_NOTE}")
        return None
    return _join(context, notes, run.encryption if run is not None else None)


def _summary_by_files(
    context: Context, folder: str, timestamp: str, sent: Iterable[ObjectInfo]
) -> PackedSummary | None:
    """The same, by the local files themselves, which were just stored."""
    if not context.config.encryption_recipients:
        return None
    from ..backups.summarizing import NoNoteError, make_note, part_of

    notes = {}
    for info in sent:
        if part := part_of(info.key, timestamp):
            try:
                notes[part] = make_note(os.path.join(folder, info.key.rpartition("/")[2]), part)
            except (NoNoteError, OSError) as error:
                context.log.warning(f"{info.key}: {error}; {_WITHOUT_NOTE}")
    return _join(context, notes)


def _join(context: Context, notes: Mapping[str, bytes], encryption: Encryption | None = None) -> PackedSummary | None:
    """`encryption`: what this host's run encrypts to; without it the configuration says it."""
    from ..backups.backup_keys import load_backup_recipients
    from ..backups.summarizing import join_notes

    try:
        if encryption is None and (recipients := load_backup_recipients(context.config)) is not None:
            encryption = recipients.to_claim()
        return join_notes(notes, encryption.recipients if encryption is not None else ())
    except (ConfigError, KeyError, TypeError, ValueError) as error:  # a file of this host was damaged, or is gone
        context.log.warning(f"the manifest has no summary of gpbackup's files: {error}")
        return None


def put_manifest_of(context: Context, prefix: str, sent: list[ObjectInfo], folder: str) -> None:
    """Store a manifest of objects that were sent from a local folder without a hook that comes after them."""
    from ..integrity.entries import Entry
    from ..integrity.entry_sorting import sort_entries

    found = [Entry(info.key[len(prefix) :], info.size, info.crc32c) for info in sent if info.crc32c is not None]
    if found:
        with sort_entries(found) as entries:
            timestamp = keys.timestamp_of(prefix)
            summary = _summary_by_files(context, folder, timestamp, sent)
            _put_manifest(context, prefix, timestamp, entries, len(entries), summary=summary)


def _put_manifest(
    context: Context,
    prefix: str,
    timestamp: str,
    entries: Iterable[Entry],
    count: int,
    run: Run | None = None,
    summary: PackedSummary | None = None,
) -> None:
    """Store a manifest of these objects of this host."""
    from ..integrity.catalog_files import remove_catalogs
    from ..integrity.manifest_packing import pack

    claim, mark = (run.claim, run.mark) if run else ("", "")
    packed = pack(timestamp, entries, claim, mark, summary)
    with memoryview(packed.data) as data:
        try:
            context.patient_store.put(prefix + packed.name, data)
        except StorageError as error:
            raise type(error)(
                f"the manifest of {count} objects can't be stored, without which a restore can't verify them; "
                f"run it again: {error}"
            ) from error
    # What a restore on this host may have fetched of this backup before is not all any more.
    with suppress(LocalFileError):
        remove_catalogs(context.config.place, timestamp, fetched_only=True)
