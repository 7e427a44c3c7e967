"""`verify`: reads every object of a backup and compares it with the manifests."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..backups.identity_check import Openings
from ..backups.inspection import Inspector
from ..backups.parallel import parse_shard, run_each
from ..backups.survey import survey
from ..config.values import format_size
from ..errors import NotFound, StorageError, UsageError
from ..integrity import verification
from ..keys import backup_prefix
from ..storage.contract import ObjectInfo
from ..transfer.download import Download, DownloadSettings
from . import render
from .arguments import Parser
from .open_target import open_target
from .render import cluster_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..age.opening import Opening
    from ..backups.backup import Backup
    from ..backups.findings import Inspection
    from ..errors import PluginError
    from ..integrity.entries import Entry
    from ..storage.contract import Store

_AT_ONCE = 8
_NOT_ALL_CHECKED = 4


def main(argv: Sequence[str]) -> int:
    """Verify one backup or all; returns 0 if everything is as it was backed up, 1 if something is wrong, 4 if not
    everything could be checked but no problem was found.
    """
    parser = Parser("verify")
    parser.add_timestamp(nargs="?")
    parser.add_argument(
        "--quick", action="store_true", help="compare names and sizes by listings only, without reading data"
    )
    parser.add_argument(
        "--decrypt",
        action="store_true",
        help="also decrypt every object of an encrypted backup, by `encryption_identity_file`; the same as without it "
        "for other backups",
    )
    parser.add_argument(
        "--any-name",
        action="store_true",
        help="accept plain objects, and objects whose headers name no object or another one, as --decrypt does not",
    )
    parser.add_argument(
        "--shard", metavar="I/N", type=parse_shard, default=(0, 1), help="verify only part I of N; I starts from 0"
    )
    parser.add_replica()
    parser.add_json()
    arguments = parser.parse_args(argv)
    if arguments.decrypt and arguments.quick:
        raise UsageError("--decrypt reads every object, and --quick reads none: choose one of them")
    if arguments.any_name and not arguments.decrypt:
        raise UsageError("--any-name is for --decrypt")
    found: list[tuple[Backup, Inspection]] = []
    decrypted: list[bool] = []
    with open_target(arguments.config, replica=arguments.replica) as (config, store):
        backups = survey(store, arguments.timestamp or "")
        if arguments.timestamp and not backups:
            raise NotFound(f"there is no backup {arguments.timestamp} at {config.url}; `list` shows all backups")
        settings = DownloadSettings(config.restore_multipart_chunksize, 1)
        openings = Openings(store, config, backups, any_name=arguments.any_name) if arguments.decrypt else None
        inspector = Inspector(config.place, store, backups if not arguments.timestamp else ())
        for backup in backups:
            opening = openings.get(backup) if openings is not None else None
            if isinstance(opening, str):
                one = inspector.inspect(backup, arguments.shard)
                one.reasons.append(f"it was not read: {opening}")
                one.right = one.size = 0
                opening = None
            else:
                one = _verified(inspector, _Reading(store, backup, settings, opening), arguments)
                if not arguments.quick:
                    _store_result(store, backup, arguments.shard, one, decrypted=_must_be_decrypted(opening))
            one.problems.sort()
            found.append((backup, one))
            decrypted.append(_must_be_decrypted(opening))
    if arguments.json:
        answers = [_fields(*one, decrypted=is_decrypted) for one, is_decrypted in zip(found, decrypted, strict=True)]
        render.as_json({"url": config.url, "backups": answers})
    elif not found:
        render.line(f"There are no backups at {config.url}")
    else:
        _show(found)
    results = {one.result for _, one in found}
    return 1 if "failed" in results else _NOT_ALL_CHECKED if "unchecked" in results else 0


def _must_be_decrypted(opening: Opening | None) -> bool:
    """Whether what was read counts as decrypted: without a claim that says so, plain objects are accepted, too."""
    return opening is not None and opening.is_encrypted is True


class _Reading(NamedTuple):
    """How the objects of one backup are read. `opening`: None if they are not decrypted."""

    store: Store
    backup: Backup
    settings: DownloadSettings
    opening: Opening | None

    def read(self, one: Entry) -> None:
        """Read an object to nowhere and compare it; raises StorageError."""
        key = backup_prefix(self.backup.timestamp) + one.name
        sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            download = Download(self.store, sink, self.settings, opening=self.opening)
            download.write_whole(key, ObjectInfo(key, one.size, None, one.crc32c))
        finally:
            os.close(sink)


def _verified(inspector: Inspector, reading: _Reading, arguments: Any) -> Inspection:
    """Verify one backup, or this shard's part of it."""
    backup = reading.backup
    _, parts = arguments.shard
    if arguments.quick:
        return inspector.inspect(backup, arguments.shard)
    with render.progress(backup.timestamp, backup.size // parts) as advance:

        def read(wanted: Iterator[Entry]) -> Iterator[tuple[Entry, PluginError | None]]:
            for one, fault in run_each(reading.read, wanted, _AT_ONCE):
                advance(one.size)
                yield one, fault

        return inspector.inspect(backup, arguments.shard, read)


def _store_result(store: Store, backup: Backup, shard: tuple[int, int], found: Inspection, *, decrypted: bool) -> None:
    """Store the verification result beside the backup, unless the store refuses: the credentials may be read-only."""
    if not backup.manifests and not found.problems:
        return  # nothing was read
    prefix = backup_prefix(backup.timestamp)
    not_checked = found.not_checked if found.result == "unchecked" else None
    made = verification.VerificationResult.now(shard, well=found.result == "ok", not_checked=not_checked)
    data = verification.content(found.right, found.size, len(found.problems), found.not_checked, decrypted=decrypted)
    with suppress(StorageError):
        if backup.report_key:
            store.stat(backup.report_key)  # it may have been deleted meanwhile
        store.put(prefix + made.name, memoryview(data))
        # The results that this one replaces.
        store.delete(
            [
                prefix + one.name
                for one in backup.verifications
                if (one.part, one.parts) == shard and one.name != made.name
            ]
        )


def _fields(backup: Backup, found: Inspection, *, decrypted: bool) -> dict[str, Any]:
    return {
        "timestamp": backup.timestamp,
        "state": backup.shown_state,
        "result": found.result,
        "verified": found.right,
        "bytes": found.size,
        "decrypted": decrypted,
        "problems": found.problems,
        **fields_of(backup, found),
    }


def fields_of(backup: Backup, found: Inspection) -> dict[str, Any]:
    """The fields that `verify` and `info` share."""
    return {
        "missing": found.missing,
        "resized": found.resized,
        "archived": found.archived,
        "not_checked": found.not_checked,
        "reasons": found.reasons,
        "hosts_without_manifest": backup.hosts_without_manifest,
        "needs": found.needs,
        **cluster_fields(found.ownership),
    }


def lines_of(found: Inspection) -> Iterator[str]:
    """Problems and what could not be checked, a line each."""
    yield from found.problems
    for reason in found.reasons:
        yield f"not checked: {reason}"


def _show(results: list[tuple[Backup, Inspection]]) -> None:
    for backup, found in results:
        for line in lines_of(found):
            render.line(f"{backup.timestamp}: {line}")
    rows = [
        (
            backup.timestamp,
            backup.shown_state,
            f"{found.right:,}",
            format_size(found.size),
            verification.not_checked_text(found.not_checked) if found.result == "unchecked" else found.result,
        )
        for backup, found in results
    ]
    render.table(("TIMESTAMP", "STATE", "OBJECTS", "SIZE", "VERIFIED"), rows, right=("OBJECTS", "SIZE"))
