"""`list` and `info`: show all backups, or the details of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..backups.inspection import Inspector
from ..backups.manifest_reading import OpenedManifest
from ..backups.ownership import read_ownerships
from ..backups.parallel import run_each
from ..backups.restore_plans import mark_broken
from ..backups.survey import lists_all, survey
from ..config.values import format_size
from ..errors import AccessDenied, NotFound, StorageError
from ..integrity.manifest import BadManifest
from . import render
from .arguments import Parser
from .open_target import open_target
from .render import are_several, cluster_fields, shown, size_text
from .verify import fields_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backups.backup import Backup
    from ..backups.findings import Inspection
    from ..backups.ownership import Ownership
    from ..integrity.manifest import Header
    from ..storage.contract import ObjectInfo, Store

_MANIFESTS_AT_ONCE = 8


def list_backups(argv: Sequence[str]) -> int:
    """Print one line for each backup, the latest last; returns the exit status."""
    parser = Parser("list")
    parser.add_replica()
    parser.add_json()
    arguments = parser.parse_args(argv)
    with open_target(arguments.config, replica=arguments.replica) as (config, store):
        backups = survey(store)
        mark_broken(store, backups)
        owners = read_ownerships(store, backups)
        copies = _copies(arguments.config, store, backups) if config.replica is not None else {}
    if arguments.json:
        summaries = [{**_summary(one, owners[one.timestamp]), **copies.get(one.timestamp, {})} for one in backups]
        render.as_json({"url": config.url, "backups": summaries})
    elif not backups:
        render.line(f"There are no backups at {config.url}")
    else:
        # Other columns appear only if they say something: a line should fit a terminal.
        of_several = are_several(owners.values())
        columns = ["TIMESTAMP", "DATABASE", "KIND", "STATE", "OBJECTS", "SIZE", "MANIFESTS", "VERIFIED"]
        columns += ["CLUSTER"] if of_several else []
        columns += [] if config.replica is None else ["REPLICA"]
        rows = [
            (
                backup.timestamp,
                backup.database or "?",
                backup.kind or "?",
                backup.shown_state,
                f"{backup.objects:,}{'' if backup.counted else '+'}",
                size_text(backup.size, counted=backup.counted),
                _manifests(backup),
                _verified(backup),
                *([shown(owners[backup.timestamp])] if of_several else []),
                *copies.get(backup.timestamp, {}).values(),
            )
            for backup in backups
        ]
        render.table(columns, rows, right=("OBJECTS", "SIZE"))
    return 0


def _manifests(backup: Backup) -> str:
    """The number of manifests, or `N of M` if some hosts have not left theirs."""
    missing = len(backup.hosts_without_manifest)
    if missing:
        return f"{len(backup.marks) - missing} of {len(backup.marks)}"
    return f"{len(backup.manifests)}" if backup.manifests else "none"


def _verified(backup: Backup) -> str:
    """The day of the last complete verification, or `failed`, what it could not check, or `never`."""
    verified = backup.verified
    if verified is None:
        return "never"
    return time.strftime("%Y-%m-%d", time.localtime(verified.time)) if verified.well else str(verified)


def _copies(path: str, store: Store, backups: Sequence[Backup]) -> dict[str, dict[str, str]]:
    """The field `replica` of each backup, by timestamp: the state of the copy, `none` without one, `unknown` if the
    replica can't be read.
    """
    try:
        with open_target(path, replica=True) as (_, replica):
            found = survey(replica)
            mark_broken(replica, found)
            copies = {copy.timestamp: copy for copy in found}
            states = [_state_of_copy(store, one, replica, copies.get(one.timestamp)) for one in backups]
    except StorageError:
        states = ["unknown"] * len(backups)
    return {backup.timestamp: {"replica": state} for backup, state in zip(backups, states, strict=True)}


def _state_of_copy(store: Store, backup: Backup, replica: Store, copy: Backup | None) -> str:
    if copy is None:
        return "none"
    if copy.state == "incomplete":
        return copy.state
    if not (backup.counted and copy.counted and backup.by_names == copy.by_names):
        # Only numbers that were found in the same way can be compared.
        [backup] = survey(store, backup.timestamp, lists=lists_all) or [backup]
        [counted] = survey(replica, copy.timestamp, lists=lists_all) or [copy]
    else:
        counted = copy
    whole = (counted.objects, counted.size) == (backup.objects, backup.size)
    return copy.shown_state if whole else "incomplete"


def info(argv: Sequence[str]) -> int:
    """Print the details of one backup; returns the exit status."""
    parser = Parser("info")
    parser.add_timestamp()
    parser.add_replica()
    parser.add_json()
    arguments = parser.parse_args(argv)
    with open_target(arguments.config, replica=arguments.replica) as (config, store):
        found = survey(store, arguments.timestamp, lists=lists_all)
        if not found:
            raise NotFound(f"there is no backup {arguments.timestamp} at {config.url}; `list` shows all backups")
        [backup] = found
        headers = _headers(store, backup)
        inspected = Inspector(config.place, store, ()).inspect(backup)
    details = {
        **_summary(backup, inspected.ownership),
        "report": backup.report,
        "segments": {content: backup.segments[content] for content in sorted(backup.segments, key=int)},
        "manifests": headers,
        "result": inspected.result,
        "problems": inspected.problems,
        **fields_of(backup, inspected),
    }
    if arguments.json:
        render.as_json(details)
    else:
        _show(details, backup, inspected)
    return 0


def _show(details: dict[str, Any], backup: Backup, inspected: Inspection) -> None:
    for name in ("timestamp", "state", "kind", "database"):
        render.line(f"{name}: {details[name] or '?'}")
    if details["encrypted"]:
        render.line(f"encrypted: {', '.join(details['recipients']) or 'it is unknown for whom'}")
    for claim in inspected.ownership.claims:
        render.line(f"claimed by: {claim.cluster}")
    render.line(f"objects: {backup.objects:,}, {format_size(backup.size)}")
    render.line(f"verified: {_verified(backup)}")
    several = {"needs": inspected.needs, "problem": inspected.problems, "not checked": inspected.reasons}
    for name, lines in several.items():
        for line in lines:
            render.line(f"{name}: {line}")
    for name, value in backup.report.items():
        render.line(f"report: {name}: {value}")
    for content, size in details["segments"].items():
        render.line(f"segment {content}: {format_size(size)}")
    for header in details["manifests"]:
        count = header["objects"]
        objects = f"{count:,} object{'s' * (count != 1)}"
        render.line(f"manifest: {objects} of {header['host']}, by version {header['plugin']}")


def _summary(backup: Backup, ownership: Ownership) -> dict[str, Any]:
    verified = backup.verified
    return {
        "timestamp": backup.timestamp,
        "database": backup.database,
        "kind": backup.kind,
        "state": backup.shown_state,
        "broken": backup.broken,
        **_encryption(backup, ownership),
        "objects": backup.objects,
        "bytes": backup.size,
        "counted": backup.counted,
        "manifests": len(backup.manifests),
        "marks": len(backup.marks),
        "hosts_without_manifest": backup.hosts_without_manifest,
        **cluster_fields(ownership),
        "verified": verified
        and {
            "time": verified.time,
            "well": verified.well,
            "result": "failed" if verified.is_fault else "ok" if verified.well else "unchecked",
            "not_checked": verified.not_checked or 0,
        },
    }


def _encryption(backup: Backup, ownership: Ownership) -> dict[str, Any]:
    """Whether a backup is encrypted, and to whom: of one without a report, what its claim says."""
    claimed = ownership.claim.encryption if ownership.claim is not None else None
    recipients = backup.recipients or (claimed.recipients if claimed is not None else ())
    return {"encrypted": backup.is_encrypted or claimed is not None, "recipients": list(recipients)}


def _headers(store: Store, backup: Backup) -> list[dict[str, Any]]:
    headers: dict[str, dict[str, Any]] = {}

    def read(one: ObjectInfo) -> Header:
        return OpenedManifest(store, one, backup.timestamp, ()).header

    for one, header in run_each(read, iter(backup.manifests), _MANIFESTS_AT_ONCE):
        if isinstance(header, (AccessDenied, BadManifest)):
            continue  # the inspection reports it as a problem, or as not checked
        if isinstance(header, Exception):
            raise header
        headers[one.key] = {"host": header.host, "objects": header.objects, "plugin": header.plugin}
    return [headers[key] for key in sorted(headers)]
