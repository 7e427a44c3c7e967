"""`metrics`: prints the state of the backups for Prometheus' textfile collector."""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..backups.ownership import read_ownerships
from ..backups.restore_plans import mark_broken
from ..backups.survey import survey
from ..errors import LocalFileError, StorageError
from . import render
from .arguments import Parser
from .open_target import open_target
from .render import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backups.backup import Backup
    from ..backups.ownership import Ownership

_STATES = ("complete", "failed", "incomplete", "interrupted", "unknown", "broken")
_PREFIX = "fsspec_gp_plugin_"
# Metrics of the last complete backup of each database and kind: name, JSON field, meaning.
_LAST = (
    ("last_backup_timestamp_seconds", "time", "Start of the last complete backup, in seconds since 1970."),
    ("last_backup_age_seconds", "age_seconds", "Seconds since the start of the last complete backup."),
    ("last_backup_size_bytes", "bytes", "Size of the last complete backup at the target."),
    ("last_backup_objects", "objects", "Objects of the last complete backup, without its manifests."),
    (
        "last_backup_verified_seconds",
        "verified",
        "Time of the last complete and successful `verify`; 0 if there was none.",
    ),
    ("last_backup_not_checked_objects", "not_checked", "Objects that the last complete `verify` could not check."),
    (
        "last_backup_has_manifests",
        "has_manifests",
        "Whether every host left a manifest, so that the backup can be verified.",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Print the metrics; returns 0. If the target can't be read, the metric `up` is 0, and the error is raised."""
    parser = Parser("metrics")
    parser.add_argument("--output", metavar="FILE", help="write to FILE (mode 0644), replacing it in one step")
    parser.add_json()
    arguments = parser.parse_args(argv)
    begun, now = time.monotonic(), time.time()
    failed: StorageError | None = None
    fields: dict[str, Any] = {}
    try:
        with open_target(arguments.config) as (_, store):
            backups = survey(store)
            mark_broken(store, backups)
            fields = _fields(backups, read_ownerships(store, backups), now)
    except StorageError as error:
        failed = error
    state = {"up": failed is None, "scrape_duration_seconds": round(time.monotonic() - begun, 6), **fields}
    text = render.json_of(state) if arguments.json else _exposed(state)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        _replace(arguments.output, text)
    if failed is not None:
        raise failed
    return 0


def _fields(backups: list[Backup], owners: dict[str, Ownership], now: float) -> dict[str, Any]:
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
                "counted": backup.counted,
                "verified": backup.verified.time if backup.verified and backup.verified.well else 0,
                "not_checked": (backup.verified and backup.verified.not_checked) or 0,
                "hosts_without_manifest": len(backup.hosts_without_manifest),
                "has_manifests": bool(backup.manifests) and not backup.hosts_without_manifest,
            }
            for (database, kind, cluster), backup in sorted(last.items())
        ],
    }


def _last(backups: list[Backup], clusters: dict[str, str]) -> dict[tuple[str, str, str], Backup]:
    """The last complete backup of each database, kind and cluster. A backup of an unknown cluster counts for the one
    of the database's other backups, and is left out if these are of several clusters.
    """
    latest: dict[tuple[str, str, str], Backup] = {}
    complete = [one for one in backups if one.shown_state == "complete" and one.database and one.time is not None]
    known: dict[str, set[str]] = {}
    for backup in complete:
        known.setdefault(backup.database, set()).update(filter(None, [clusters[backup.timestamp]]))
    for backup in complete:
        among = known[backup.database]
        cluster = clusters[backup.timestamp] or (min(among, default="") if len(among) < 2 else None)
        if cluster is not None:
            latest[backup.database, backup.kind, cluster] = backup
    return latest


def _exposed(state: dict[str, Any]) -> str:
    """The text format, version 0.0.4."""
    lines = [
        *_family("up", "Whether the target could be read.", [({}, state["up"])]),
        *_family(
            "scrape_duration_seconds", "Seconds that reading the target took.", [({}, state["scrape_duration_seconds"])]
        ),
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
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        # Prometheus wants numbers for True and False.
        number = repr(value) if isinstance(value, float) else str(int(value))
        lines.append(f"{name}{{{pairs}}} {number}" if pairs else f"{name} {number}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _replace(path: str, text: str) -> None:
    """Replace the file in one step: a reader finds the old text or the new one."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    # The collector reads only names that end in ".prom".
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
