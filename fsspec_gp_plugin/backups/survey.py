"""Lists the backups at a target, with what their objects' names and gpbackup's reports say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..integrity import claim, marks, verification
from ..integrity.object_names import is_manifest, is_plugins_own
from ..keys import BACKUPS, backup_prefix, is_backup_prefix, is_unfinished, timestamp_of
from ..storage.reading import read_pieces
from ..workers import Workers
from .gpbackup_files import parse_report

if TYPE_CHECKING:
    from ..storage.contract import ObjectInfo, Store

_REPORTS_AT_ONCE = 8
_LARGEST_REPORT = 1 << 20
# By gpbackup's backup status, in lower case.
_STATES = {"success": "complete", "failure": "failed"}
_CONTENT = re.compile(r"gpbackup_(-?[0-9]+)_[0-9]{14}(?:_|\.|$)")


@dataclass
class Backup:
    """One backup: its objects, and the values of its report by the report's own keys. `written`: when its latest object
    was written, in seconds since 1970, None if unknown. `marks`: the host and the id of each mark. `broken`: why it
    can't be restored because a backup that it needs is gone, "" if it can; mark_broken() sets it. `interrupted`: its
    gpbackup has certainly ended, which only the coordinator's host knows; read_ownership() sets it. `is_copied`: it is
    a copy that is not complete yet.
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
    verifications: list[verification.VerificationResult] = field(default_factory=list)
    segments: Counter[str] = field(default_factory=Counter)
    report: dict[str, str] = field(default_factory=dict)
    broken: str = ""
    interrupted: bool = False
    is_copied: bool = False

    @property
    def state(self) -> str:
        """`failed` or `complete`, as its report says; `unknown` if the report can't be read; `incomplete` if there is
        no report or no table of contents, as gpbackup did not finish or a deletion was interrupted.
        """
        if not self.report_key:
            return "incomplete"
        state = _STATES.get(self.report.get("backup status", "").lower(), "unknown")
        return state if self.has_contents or state == "failed" else "incomplete"

    @property
    def shown_state(self) -> str:
        """The state for people: also `broken` and `interrupted`."""
        if self.interrupted and self.state == "incomplete":
            return "interrupted"
        return "broken" if self.broken and self.state == "complete" else self.state

    @property
    def hosts_without_manifest(self) -> list[str]:
        """The hosts that left a mark and no manifest, so that no manifest lists what they have stored."""
        prefix = backup_prefix(self.timestamp)
        return marks.hosts_without_manifest(self.marks, (info.key[len(prefix) :] for info in self.manifests))

    @property
    def database(self) -> str:
        """The name of the database, by the report. "" without a report."""
        return self.report.get("database name", "")

    @property
    def time(self) -> float | None:
        """When it was begun, in seconds since 1970. None if its timestamp is not a time.

        gpbackup writes the coordinator's local time, so this host must have the coordinator's time zone. In the hour
        that comes twice in autumn the later one counts: a backup never counts as older than it is.
        """
        try:
            return datetime.strptime(self.timestamp, "%Y%m%d%H%M%S").replace(fold=1).timestamp()
        except (ValueError, OverflowError):
            return None

    @property
    def last_sign(self) -> float | None:
        """The later of the backup's own time and that of its latest object; None if its own time is unknown."""
        return None if self.time is None else max(self.time, self.written or 0.0)

    @property
    def verified(self) -> verification.VerificationResult | None:
        """What `verify` has found in the whole backup. None if it was never verified."""
        return verification.combine(self.verifications)

    @property
    def kind(self) -> str:
        """`full`, `incremental`, `filtered` or a section of a database, by the report. "" without a report."""
        if not self.report:
            return ""
        if self.report.get("incremental", "").lower() == "true":
            return "incremental"
        section = self.report.get("backup section", "All Sections")
        if section != "All Sections":
            return section.lower().removesuffix(" only")
        return "full" if self.report.get("object filtering", "None") == "None" else "filtered"

    def count(self, info: ObjectInfo) -> None:
        """Count an object."""
        name = info.key[len(backup_prefix(self.timestamp)) :]
        result, copied = verification.parse_name(name), marks.parse_copy_mark(name)
        if result is not None:
            self.verifications.append(result)
            return
        self.written = max(self.written or 0.0, info.modified or 0.0, copied or 0.0) or None
        if copied is not None:
            self.is_copied = True
            return
        if claim.is_claim(name):
            self.claims.append(info)
            return
        if (mark := marks.parse_host_mark(name)) is not None:
            self.marks.append(mark)
            return
        if is_manifest(name):
            self.manifests.append(info)
            return
        if is_plugins_own(name):
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
    """List all backups at a target, or the one of a timestamp, with their reports, the latest last. Working files are
    added to `working_files` if it is given.
    """
    backups = list_without_reports(store, backup_prefix(timestamp) if timestamp else BACKUPS, working_files)
    with Workers(_REPORTS_AT_ONCE) as pool:
        reports = pool.map(lambda one: _read_report(store, one), backups)
        for backup, report in zip(backups, reports, strict=True):
            backup.report = report
    return backups


def list_without_reports(store: Store, below: str, working_files: list[ObjectInfo] | None = None) -> list[Backup]:
    """List the backups below a prefix as survey() does, but without their reports."""
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


def _read_report(store: Store, backup: Backup) -> dict[str, str]:
    if not backup.report_key:
        return {}
    try:
        info = store.stat(backup.report_key)
        text = b"".join(read_pieces(store, info)) if info.size <= _LARGEST_REPORT else b""
    except Unreachable:
        raise
    except StorageError:
        return {}
    return parse_report(text.decode(errors="replace"))
