"""`list` and `info`: which backups there are, and what is in one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..backups.survey import Backup, survey
from ..config.units import format_size
from ..errors import NotFound, StorageError
from ..integrity import manifest
from ..storage.reading import pieces
from . import render
from .arguments import Parser, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage.api import Store


def list_backups(arguments: Sequence[str]) -> int:
    """One line for each backup, the latest last."""
    parser = Parser("list")
    parser.add_replica()
    parser.add_json()
    asked = parser.parse_args(arguments)
    with opened(asked.config, replica=asked.replica) as (config, store):
        backups = survey(store)
    copies = _copies(asked.config) if config.replica is not None else None
    if asked.json:
        told = [{**_summary(backup), **_copy_of(backup, copies)} for backup in backups]
        render.as_json({"url": config.url, "backups": told})
    elif not backups:
        render.line(f"There are no backups at {config.url}")
    else:
        columns = ["TIMESTAMP", "DATABASE", "KIND", "STATE", "OBJECTS", "SIZE", "MANIFESTS", "VERIFIED"]
        columns += [] if config.replica is None else ["REPLICA"]
        rows = [
            (
                backup.timestamp,
                backup.database or "?",
                backup.kind or "?",
                backup.state,
                f"{backup.objects:,}",
                format_size(backup.size),
                f"{len(backup.manifests)}" if backup.manifests else "none",
                _verified(backup),
                *_copy_of(backup, copies).values(),
            )
            for backup in backups
        ]
        render.table(columns, rows, right=("OBJECTS", "SIZE"))
    return 0


def _verified(backup: Backup) -> str:
    """The day of the last verification that read all of it, `failed`, or `never`."""
    if backup.verified is None:
        return "never"
    return time.strftime("%Y-%m-%d", time.localtime(backup.verified.time)) if backup.verified.well else "failed"


def _copies(path: str) -> dict[str, Backup] | StorageError:
    """What the replica holds, by timestamp, or why that can't be told."""
    try:
        with opened(path, replica=True) as (_, store):
            return {backup.timestamp: backup for backup in survey(store)}
    except StorageError as error:
        return error


def _copy_of(backup: Backup, copies: dict[str, Backup] | StorageError | None) -> dict[str, str]:
    """`replica`: the state of the copy, `none` without one, `unknown` where the replica can't be asked."""
    if copies is None:
        return {}
    if isinstance(copies, StorageError):
        return {"replica": "unknown"}
    copy = copies.get(backup.timestamp)
    if copy is None:
        return {"replica": "none"}
    whole = (copy.objects, copy.size) == (backup.objects, backup.size)
    return {"replica": copy.state if whole else "incomplete"}


def info(arguments: Sequence[str]) -> int:
    """All that is known of one backup."""
    parser = Parser("info")
    parser.add_timestamp()
    parser.add_replica()
    parser.add_json()
    asked = parser.parse_args(arguments)
    with opened(asked.config, replica=asked.replica) as (config, store):
        found = survey(store, asked.timestamp)
        if not found:
            raise NotFound(f"there is no backup {asked.timestamp} at {config.url}; `list` shows those that there are")
        [backup] = found
        headers = _headers(store, backup)
    told = {
        **_summary(backup),
        "report": backup.report,
        "segments": {content: backup.segments[content] for content in sorted(backup.segments, key=int)},
        "manifests": headers,
    }
    if asked.json:
        render.as_json(told)
        return 0
    for name in ("timestamp", "state", "kind", "database"):
        render.line(f"{name}: {told[name] or '?'}")
    render.line(f"objects: {backup.objects:,}, {format_size(backup.size)}")
    render.line(f"verified: {_verified(backup)}")
    for name, value in backup.report.items():
        render.line(f"report: {name}: {value}")
    for content, size in told["segments"].items():
        render.line(f"segment {content}: {format_size(size)}")
    for header in headers:
        render.line(f"manifest: {header['objects']:,} objects of {header['host']}, by version {header['plugin']}")
    return 0


def _summary(backup: Backup) -> dict[str, Any]:
    return {
        "timestamp": backup.timestamp,
        "database": backup.database,
        "kind": backup.kind,
        "state": backup.state,
        "objects": backup.objects,
        "bytes": backup.size,
        "manifests": len(backup.manifests),
        "verified": backup.verified and {"time": backup.verified.time, "well": backup.verified.well},
    }


def _headers(store: Store, backup: Backup) -> list[dict[str, Any]]:
    found = []
    for one in backup.manifests:
        header = next(iter(manifest.decoded(one.key, backup.timestamp, pieces(store, one), manifest.Budget())))
        if isinstance(header, manifest.Header):
            found.append({"host": header.host, "objects": header.objects, "plugin": header.plugin})
    return found
