"""What backups a target holds, told from the storage alone: its listing, reports and manifests."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..integrity import claim, copy_mark, host_mark, manifest, verification
from ..keys import BACKUPS, backup_prefix, is_backup_prefix, is_unfinished, timestamp_of
from ..storage.reading import pieces
from ..workers import Workers
from . import report

if TYPE_CHECKING:
    from ..storage.contract import ObjectInfo, Store

_REPORTS_AT_ONCE = 8
_LARGEST_REPORT = 1 << 20
# By the status that gpbackup writes, in small letters.
_STATES = {"success": "complete", "failure": "failed"}
_CONTENT = re.compile(r"gpbackup_(-?[0-9]+)_[0-9]{14}(?:_|\.|$)")


@dataclass
class Backup:
    """One backup: what there is of it, and what its report says, by the report's own names. `written`: when the latest
    of its objects was, in seconds since 1970, where the store tells it. `marks`: the host and the id of each. `broken`:
    why it can't be restored, as a backup that it builds upon is gone, by find_broken(); "" where it can. `interrupted`:
    its gpbackup has certainly ended, by ownership_of(), which only the coordinator's host can tell. `is_copied`: it
    is a copy that is not complete yet.
    """

    timestamp: str
    objects: int = 0
    size: int = 0
    has_contents: bool = False
    report_key: str = ""
    written: float | None = None
    claims: list[ObjectInfo] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    manifests: list[ObjectInfo] = field(default_factory=list)
    verdicts: list[verification.Verdict] = field(default_factory=list)
    segments: Counter[str] = field(default_factory=Counter)
    report: dict[str, str] = field(default_factory=dict)
    broken: str = ""
    interrupted: bool = False
    is_copied: bool = False

    @property
    def state(self) -> str:
        """`failed` where its report says so; `incomplete` where gpbackup did not come to its end, or the table of
        contents was deleted; `complete` as its report says, or `unknown` where that can't be read.
        """
        told = _STATES.get(self.report.get("backup status", "").lower(), "unknown") if self.report_key else "incomplete"
        return told if self.has_contents or told == "failed" else "incomplete"

    @property
    def shown_state(self) -> str:
        """Its state, or `broken` or `interrupted`, for people."""
        if self.interrupted and self.state == "incomplete":
            return "interrupted"
        return "broken" if self.broken and self.state == "complete" else self.state

    @property
    def hosts_without_manifest(self) -> list[str]:
        """The hosts that left a mark and no manifest, so that what they stored is written down nowhere."""
        prefix = backup_prefix(self.timestamp)
        return host_mark.without_manifest(self.marks, (info.key[len(prefix) :] for info in self.manifests))

    @property
    def database(self) -> str:
        """The name of the database, by its report; "" without one."""
        return self.report.get("database name", "")

    @property
    def time(self) -> float | None:
        """When it was begun, in seconds since 1970; None where its timestamp is no time.

        gpbackup writes the coordinator's local time, so this host must have the coordinator's time zone. In the hour
        that comes twice in autumn it is the later of the two: a backup is never taken for older than it is.
        """
        try:
            return datetime.strptime(self.timestamp, "%Y%m%d%H%M%S").replace(fold=1).timestamp()
        except (ValueError, OverflowError):
            return None

    @property
    def last_sign(self) -> float | None:
        """When it was last seen to be made: its time, or that of its latest object; None where its time is unknown."""
        return None if self.time is None else max(self.time, self.written or 0.0)

    @property
    def verified(self) -> verification.Verdict | None:
        """What the last `verify` that read all of it has found; None where it never was."""
        return verification.of_all(self.verdicts)

    @property
    def kind(self) -> str:
        """`full`, `incremental`, `filtered` or a part of a database, by its report; "" without one."""
        if not self.report:
            return ""
        if self.report.get("incremental", "").lower() == "true":
            return "incremental"
        section = self.report.get("backup section", "All Sections")
        if section != "All Sections":
            return section.lower().removesuffix(" only")
        return "full" if self.report.get("object filtering", "None") == "None" else "filtered"

    def count(self, info: ObjectInfo) -> None:
        """Take an object into account."""
        name = info.key[len(backup_prefix(self.timestamp)) :]
        found, copied = verification.read(name), copy_mark.read(name)
        if found is not None:
            self.verdicts.append(found)
            return
        self.written = max(self.written or 0.0, info.modified or 0.0, copied or 0.0) or None
        if copied is not None:
            self.is_copied = True
            return
        if claim.is_claim(name):
            self.claims.append(info)
            return
        if (marked := host_mark.read(name)) is not None:
            self.marks.append(marked)
            return
        if manifest.is_manifest(name):
            self.manifests.append(info)
            return
        if manifest.is_plugins_own(name):
            return
        self.objects += 1
        self.size += info.size
        if name == f"gpbackup_{self.timestamp}_toc.yaml":
            self.has_contents = info.size > 0
        elif name == f"gpbackup_{self.timestamp}_report" and info.size:
            self.report_key = info.key
        if match := _CONTENT.match(name):
            self.segments[match[1]] += info.size


def survey(store: Store, timestamp: str = "", working_files: list[ObjectInfo] | None = None) -> list[Backup]:
    """All backups of a target, or that of one timestamp, the latest last, with their reports.

    Working files are added to a list that is given.
    """
    backups = listed(store, backup_prefix(timestamp) if timestamp else BACKUPS, working_files)
    with Workers(_REPORTS_AT_ONCE) as pool:
        for backup, told in zip(backups, pool.map(lambda one: _report(store, one), backups), strict=True):
            backup.report = told
    return backups


def listed(store: Store, below: str, working_files: list[ObjectInfo] | None = None) -> list[Backup]:
    """The backups below a prefix as survey() tells them, but without their reports."""
    found: dict[str, Backup] = {}
    for info in store.find(below, unfinished=working_files is not None):
        prefix = "/".join(info.key.split("/")[:3]) + "/"
        if is_unfinished(info.key):
            if working_files is not None:
                working_files.append(info)
        elif is_backup_prefix(prefix) and not info.key.endswith("/"):
            stamp = timestamp_of(prefix)
            found.setdefault(stamp, Backup(stamp)).count(info)
    return [found[stamp] for stamp in sorted(found)]


def _report(store: Store, backup: Backup) -> dict[str, str]:
    if not backup.report_key:
        return {}
    try:
        info = store.stat(backup.report_key)
        text = b"".join(pieces(store, info)) if info.size <= _LARGEST_REPORT else b""
    except Unreachable:
        raise
    except StorageError:
        return {}
    return report.read(text.decode(errors="replace"))
