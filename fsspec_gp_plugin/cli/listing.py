"""`list` and `info`: which backups there are, and what is in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backups.survey import Backup, survey
from ..config.units import format_size
from ..errors import NotFound
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
    parser.add_json()
    asked = parser.parse_args(arguments)
    with opened(asked.config) as (config, store):
        backups = survey(store)
    if asked.json:
        render.as_json({"url": config.url, "backups": [_summary(backup) for backup in backups]})
    elif not backups:
        render.line(f"There are no backups at {config.url}")
    else:
        columns = ("TIMESTAMP", "DATABASE", "KIND", "STATE", "OBJECTS", "SIZE", "MANIFESTS")
        rows = [
            (
                backup.timestamp,
                backup.report.get("database name", "?"),
                backup.kind or "?",
                backup.state,
                f"{backup.objects:,}",
                format_size(backup.size),
                f"{len(backup.manifests)}" if backup.manifests else "none",
            )
            for backup in backups
        ]
        render.table(columns, rows, right=("OBJECTS", "SIZE"))
    return 0


def info(arguments: Sequence[str]) -> int:
    """All that is known of one backup."""
    parser = Parser("info")
    parser.add_timestamp()
    parser.add_json()
    asked = parser.parse_args(arguments)
    with opened(asked.config) as (config, store):
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
        "database": backup.report.get("database name", ""),
        "kind": backup.kind,
        "state": backup.state,
        "objects": backup.objects,
        "bytes": backup.size,
        "manifests": len(backup.manifests),
    }


def _headers(store: Store, backup: Backup) -> list[dict[str, Any]]:
    found = []
    for one in backup.manifests:
        header = next(iter(manifest.decoded(one.key, backup.timestamp, pieces(store, one), manifest.Budget())))
        if isinstance(header, manifest.Header):
            found.append({"host": header.host, "objects": header.objects, "plugin": header.plugin})
    return found
