"""One backup at a target: what the names of its objects and gpbackup's report say of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ..integrity import claim, marks, verification
from ..integrity.object_names import is_manifest, is_plugins_own
from ..keys import backup_prefix

if TYPE_CHECKING:
    from ..storage.contract import ObjectInfo
    from .backup_summary import BackupSummary

# By gpbackup's backup status, in lower case.
_STATES = {"success": "complete", "failure": "failed"}
_CONTENT = re.compile(r"gpbackup_(-?[0-9]+)_[0-9]{14}(?:_|\.|$)")


@dataclass
class Backup:
    """One backup: its objects, and the values of its report by the report's own keys. `written`: when its latest object
    was written, in seconds since 1970, None if unknown. `marks`: the host and the id of each mark. `broken`: why it
    can't be restored because a backup that it needs is gone, "" if it can; mark_broken() sets it. `interrupted`: its
    gpbackup has certainly ended, which only the coordinator's host knows; read_ownership() sets it. `is_copied`: it is
    a copy that is not complete yet. `counted`: `objects` and `size` are of all its objects; `by_names`: they are the
    sums in the names of its manifests. `segments`: the bytes of each content id, as far as they were listed.
    `is_encrypted`: its report is encrypted; `report` then is what `summary` says, the summary of gpbackup's files, if
    there is one.
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
    counted: bool = True
    by_names: bool = False
    is_encrypted: bool = False
    summary: BackupSummary | None = None

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
    def why_unknown(self) -> str:
        """Why the state of a backup with a report is unknown."""
        if self.is_encrypted and not self.report:
            return "its report is encrypted, and no manifest has a summary of it"
        return "its report can't be read"

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who can read it, if it is encrypted, as far as it is known."""
        return () if self.summary is None else self.summary.recipients

    @property
    def has_leaf_data(self) -> bool | None:
        """Whether gpbackup stored each leaf partition by itself, by the report. None if it doesn't say."""
        if self.summary is not None:
            return self.summary.has_leaf_data
        command = self.report.get("command line", "")
        return "--leaf-partition-data" in command if command else None

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
    def segment_count(self) -> int:
        """The number of segments that wrote to it, by the report. 0 if it doesn't say, as before version 1.26."""
        count = self.report.get("segment count", "")
        return int(count) if re.fullmatch(r"[0-9]{1,6}", count) else 0

    @cached_property
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

    def take_own(self, info: ObjectInfo) -> None:
        """Take note of an object that this plugin has stored beside the backup for itself."""
        name = info.key[len(backup_prefix(self.timestamp)) :]
        result, copied = verification.parse_name(name), marks.parse_copy_mark(name)
        if result is not None:
            self.verifications.append(result)
            return
        self.see(info.modified)
        if copied is not None:
            self.see(copied)
            self.is_copied = True
        elif claim.is_claim(name):
            self.claims.append(info)
        elif (mark := marks.parse_host_mark(name)) is not None:
            self.marks.append(mark)
        elif is_manifest(name):
            self.manifests.append(info)

    def count(self, info: ObjectInfo) -> None:
        """Count an object."""
        self.see(info.modified)
        name = info.key[len(backup_prefix(self.timestamp)) :]
        if is_plugins_own(name):
            return
        self.objects += 1
        self.size += info.size
        if match := _CONTENT.match(name):
            self.segments[match[1]] += info.size

    def see(self, written: float | None) -> None:
        """Take note of when an object was written."""
        if written is not None and written > (self.written or 0.0):
            self.written = written
