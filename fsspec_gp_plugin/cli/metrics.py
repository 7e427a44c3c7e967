"""`metrics`: the state of the backups, for Prometheus' textfile collector."""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..backups.ownership import read_ownerships
from ..backups.restore_plans import mark_broken
from ..backups.survey import Backup, survey
from ..errors import LocalFileError, StorageError
from . import render
from .arguments import Parser
from .cluster_fields import label
from .open_target import open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backups.ownership import Ownership

_STATES = ("complete", "failed", "incomplete", "interrupted", "unknown", "broken")
_PREFIX = "fsspec_gp_plugin_"
# Of the last complete backup of each database and kind: the metric, where its value is found, and what it means.
_LAST = (
    ("last_backup_timestamp_seconds", "time", "When the last complete backup was begun, in seconds since 1970."),
    ("last_backup_age_seconds", "age_seconds", "How long ago the last complete backup was begun."),
    ("last_backup_size_bytes", "bytes", "Bytes of the last complete backup at the target."),
    ("last_backup_objects", "objects", "Objects of the last complete backup, its manifests not counted."),
    ("last_backup_verified_seconds", "verified", "When `verify` last read all of it and found it well; 0 where never."),
    ("last_backup_not_checked_objects", "not_checked", "Objects that the last `verify` of all of it could not check."),
    ("last_backup_has_manifests", "has_manifests", "Whether every host left a manifest, by which it can be verified."),
)


def main(arguments: Sequence[str]) -> int:
    """Status 0, or that of the error by which the target could not be looked at, which is told as a metric, too."""
    parser = Parser("metrics")
    parser.add_argument("--output", metavar="FILE", help="write to a file, whole or not at all, with mode 0644")
    parser.add_json()
    asked = parser.parse_args(arguments)
    begun, now = time.monotonic(), time.time()
    failed: StorageError | None = None
    found: dict[str, Any] = {}
    try:
        with open_target(asked.config) as (_, store):
            backups = survey(store)
            mark_broken(store, backups)
            found = _described(backups, read_ownerships(store, backups), now)
    except StorageError as error:
        failed = error
    state = {"up": failed is None, "scrape_duration_seconds": round(time.monotonic() - begun, 6), **found}
    text = render.json_of(state) if asked.json else _exposed(state)
    if asked.output is None:
        sys.stdout.write(text)
    else:
        _replace(asked.output, text)
    if failed is not None:
        raise failed
    return 0


def _described(backups: list[Backup], owners: dict[str, Ownership], now: float) -> dict[str, Any]:
    last = _last(backups, {one: label(owner) for one, owner in owners.items()})
    return {
        "backups": {state: sum(backup.shown_state == state for backup in backups) for state in _STATES},
        "last": [
            {
                "database": database,
                "kind": kind,
                "cluster": cluster,
                "timestamp": backup.timestamp,
                "time": int(backup.time or 0),
                "age_seconds": int(now - (backup.time or 0)),
                "bytes": backup.size,
                "objects": backup.objects,
                "verified": backup.verified.time if backup.verified and backup.verified.well else 0,
                "not_checked": (backup.verified and backup.verified.not_checked) or 0,
                "hosts_without_manifest": len(backup.hosts_without_manifest),
                "has_manifests": bool(backup.manifests) and not backup.hosts_without_manifest,
            }
            for (database, kind, cluster), backup in sorted(last.items())
        ],
    }


def _last(backups: list[Backup], clusters: dict[str, str]) -> dict[tuple[str, str, str], Backup]:
    """The last complete backup of each database, kind and cluster. One whose cluster nothing tells counts as of the one
    that the others of the database are of, and where these are of several as of none.
    """
    found: dict[tuple[str, str, str], Backup] = {}
    complete = [one for one in backups if one.shown_state == "complete" and one.database and one.time is not None]
    known: dict[str, set[str]] = {}
    for backup in complete:
        known.setdefault(backup.database, set()).update(filter(None, [clusters[backup.timestamp]]))
    for backup in complete:
        among = known[backup.database]
        cluster = clusters[backup.timestamp] or (min(among, default="") if len(among) < 2 else None)
        if cluster is not None:
            found[backup.database, backup.kind, cluster] = backup
    return found


def _exposed(state: dict[str, Any]) -> str:
    """The text format, version 0.0.4."""
    lines = [
        *_family("up", "Whether the target could be looked at.", [({}, state["up"])]),
        *_family("scrape_duration_seconds", "How long that took.", [({}, state["scrape_duration_seconds"])]),
    ]
    if "backups" in state:
        counted = [({"state": name}, count) for name, count in state["backups"].items()]
        lines += _family("backups", "Backups at the target, by state.", counted)
        for name, field, meaning in _LAST:
            values = [(_labels(one), one[field]) for one in state["last"]]
            lines += _family(name, meaning, values)
    return "\n".join(lines) + "\n"


def _labels(last: dict[str, Any]) -> dict[str, str]:
    labels = {"database": last["database"], "kind": last["kind"]}
    return {**labels, "cluster": last["cluster"]} if last["cluster"] else labels


def _family(name: str, meaning: str, values: Sequence[tuple[dict[str, str], float]]) -> list[str]:
    name = _PREFIX + name
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    for labels, value in values:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        # A truth value is a number there.
        number = repr(value) if isinstance(value, float) else str(int(value))
        lines.append(f"{name}{{{told}}} {number}" if told else f"{name} {number}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _replace(path: str, text: str) -> None:
    """Put the text at the path, so that whoever reads it finds the old text or the new one, and whole."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    # The collector reads names that end in ".prom" only.
    working = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.part")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError(0, "it is not a file")
        fd = os.open(working, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(fd, 0o644)
            os.rename(working, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(working)
            raise
    except OSError as error:
        raise LocalFileError(f"can't write {path}: {error.strerror}") from error
