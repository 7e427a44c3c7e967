"""`verify`: every object of a backup, read and compared with the manifests."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..backups import catalogs
from ..backups.parallel import each
from ..backups.shards import parse_shard
from ..backups.survey import Backup, survey
from ..config.units import format_size
from ..errors import NotFound, StorageError
from ..integrity import verdict
from ..integrity.catalog import Catalog
from ..keys import backup_prefix
from ..storage.api import ObjectInfo
from ..transfer.download import Download, DownloadSettings
from . import render
from .arguments import Parser, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..integrity.entry import Entry
    from ..private import Place
    from ..storage.api import Store

_AT_ONCE = 8


def main(arguments: Sequence[str]) -> int:
    """Status 0 where all is as it was backed up, 1 where something differs, 4 where nothing could be compared."""
    parser = Parser("verify")
    parser.add_timestamp(nargs="?")
    parser.add_argument("--quick", action="store_true", help="compare sizes only, which a listing tells")
    parser.add_argument(
        "--shard", metavar="I/N", type=parse_shard, default=(0, 1), help="only part I, from 0, of N parts"
    )
    parser.add_replica()
    parser.add_json()
    asked = parser.parse_args(arguments)
    with opened(asked.config, replica=asked.replica) as (config, store):
        backups = survey(store, asked.timestamp or "")
        if asked.timestamp and not backups:
            raise NotFound(f"there is no backup {asked.timestamp} at {config.url}; `list` shows those that there are")
        settings = DownloadSettings(config.restore_multipart_chunksize, 1)
        told = [_verified(config.place, store, backup, settings, asked) for backup in backups]
        if not asked.quick:
            for backup, found in zip(backups, told, strict=True):
                if backup.manifests:
                    _write_down(store, backup, asked.shard, found)
    if asked.json:
        render.as_json({"url": config.url, "backups": told})
    elif not told:
        render.line(f"There are no backups at {config.url}")
    else:
        _show(told)
    if any(backup["problems"] for backup in told):
        return 1
    return 0 if any(backup["verified"] for backup in told) or not told else 4


def _verified(place: Place, store: Store, backup: Backup, settings: DownloadSettings, asked: Any) -> dict[str, Any]:
    problems: list[str] = []
    verified = size = 0
    with Catalog(place, backup.timestamp, f".verify-{secrets.token_hex(6)}", make=True) as catalog:
        try:
            catalogs.build(catalog, store, backup.timestamp, catalogs.limited(backup.manifests, backup.timestamp))
            if asked.quick:
                verified, size, problems = _by_listing(store, catalog, backup)
            else:
                part = (one for one in catalog.entries() if one.crc32c % asked.shard[1] == asked.shard[0])
                with render.progress(backup.timestamp, backup.size // asked.shard[1]) as advance:
                    for one, problem in each(lambda one: _read(store, backup, settings, one), part, _AT_ONCE):
                        advance(one.size)
                        if problem is not None:
                            problems.append(str(problem))
                        else:
                            verified += 1
                            size += one.size
        finally:
            catalog.remove()
    return {
        "timestamp": backup.timestamp,
        "state": backup.state,
        "verified": verified,
        "bytes": size,
        "problems": sorted(problems),
    }


def _write_down(store: Store, backup: Backup, shard: tuple[int, int], found: dict[str, Any]) -> None:
    """Leave the verdict beside the backup, where the store takes it: who may only read has told it here."""
    prefix = backup_prefix(backup.timestamp)
    made = verdict.new(shard, well=not found["problems"])
    data = verdict.content(found["verified"], found["bytes"], len(found["problems"]))
    with suppress(StorageError):
        if backup.report_key:
            store.stat(backup.report_key)  # it may have been deleted meanwhile
        store.put(prefix + made.name, memoryview(data))
        # Those that it takes the place of.
        store.delete(
            [prefix + one.name for one in backup.verdicts if (one.part, one.parts) == shard and one.name != made.name]
        )


def _read(store: Store, backup: Backup, settings: DownloadSettings, one: Entry) -> None:
    """Read an object to nowhere, and compare it."""
    key = backup_prefix(backup.timestamp) + one.name
    sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        Download(store, sink, settings).whole(key, ObjectInfo(key, one.size, None, one.crc32c))
    finally:
        os.close(sink)


def _by_listing(store: Store, catalog: Catalog, backup: Backup) -> tuple[int, int, list[str]]:
    """How many objects are there in their full size, their bytes, and what is wrong with the others."""
    prefix = backup_prefix(backup.timestamp)
    listed = ((info.key[len(prefix) :], info.size) for info in store.find(prefix))
    found = catalog.difference("", listed)
    total = size = 0
    for one in catalog.entries():
        total += 1
        size += one.size
    if found is None:
        return total, size, []
    what = "is not at the target" if found.size is None else f"has {found.size} bytes; {found.backed_up} were backed up"
    more = f" (and {found.missing - 1} more)" if found.missing > 1 else ""
    return total - found.missing, size, [f"{prefix}{found.name} {what}{more}"]


def _show(told: list[dict[str, Any]]) -> None:
    for backup in told:
        for problem in backup["problems"]:
            render.line(f"{backup['timestamp']}: {problem}")
    rows = [
        (
            backup["timestamp"],
            backup["state"],
            f"{backup['verified']:,}",
            format_size(backup["bytes"]),
            "failed" if backup["problems"] else "ok" if backup["verified"] else "nothing to compare with",
        )
        for backup in told
    ]
    render.table(("TIMESTAMP", "STATE", "OBJECTS", "SIZE", "VERIFIED"), rows, right=("OBJECTS", "SIZE"))
