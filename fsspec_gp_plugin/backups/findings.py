"""What was found about one backup, and the lines that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..integrity.listings import Kinds
from ..keys import backup_prefix
from .gpbackup_files import backup_config_name
from .missing import ARCHIVED, BY_GPBACKUP, BY_MANIFESTS, count_message
from .ownership import Ownership

if TYPE_CHECKING:
    from .backup import Backup
    from .required import Required

_NOT_FINISHED = {
    "incomplete": "gpbackup did not finish this backup, so it is unknown what must be there",
    "failed": "gpbackup's report says that this backup failed, so it is unknown what must be there",
}


def why_not_sure(backup: Backup) -> str:
    """Why it is unknown whether all is there, by the backup's state. "" for a complete backup."""
    if backup.state == "unknown":
        return f"{backup.why_unknown}, so it is unknown whether gpbackup finished it"
    return _NOT_FINISHED.get(backup.state, "")


@dataclass
class Inspection:
    """What was found about one backup. `right`: how many objects agree with their manifests; `size`: their bytes.
    `problems`: what is wrong, one line for each; `reasons`: why not everything could be checked, one line for each.

    Numbers of objects: `missing`; `resized`, of another size; `archived`, which can't be read now; `not_checked`, in no
    manifest. `needs`: the backups that it needs.
    """

    right: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    missing: int = 0
    resized: int = 0
    archived: int = 0
    not_checked: int = 0
    needs: list[str] = field(default_factory=list)
    ownership: Ownership = field(default_factory=Ownership)

    @property
    def result(self) -> str:
        """`failed` if something is wrong, otherwise `unchecked` if not everything could be checked, otherwise `ok`."""
        return "failed" if self.problems else "unchecked" if self.reasons else "ok"


@dataclass
class Sums:
    """What the comparisons of all pieces of a backup have found. `missing`, `first_missing`: how many objects are not
    there that gpbackup's own files require and no manifest names, and the first of them; `required`: how many are
    required.
    """

    kinds: Kinds = field(default_factory=Kinds)
    missing: int = 0
    first_missing: str = ""
    required: int = 0

    def add_missing(self, count: int, first: str) -> None:
        """Add those of one piece."""
        if count:
            self.first_missing = min(self.first_missing or first, first)
            self.missing += count


def report_sums(found: Inspection, sums: Sums, backup: Backup) -> None:
    """Report what comparisons have found. `found.right` and `found.size` are not set."""
    prefix = backup_prefix(backup.timestamp)
    right, gone, resized, archived, not_named, archived_too = sums.kinds
    found.missing, found.resized = gone.count, resized.count
    named = right.count + gone.count + resized.count + archived.count
    if gone.count:
        found.problems.append(f"{count_message(gone.count, named, 'missing', f'{prefix}{gone.first}')}; {BY_MANIFESTS}")
    if resized.count:
        first = f"{prefix}{resized.first} has {resized.listed} bytes; {resized.backed_up} were backed up"
        found.problems.append(count_message(resized.count, named, "of another size", first))
    found.archived = archived.count + archived_too.count
    if found.archived:
        first = prefix + (archived.first if archived.count else archived_too.first)
        found.problems.append(count_message(found.archived, None, ARCHIVED, first))
    found.not_checked = not_named.count
    if found.not_checked:
        first = f"the first is {prefix}{not_named.first}"
        one = found.not_checked == 1
        what = f"{found.not_checked} object{' is' if one else 's are'} in no manifest"
        found.reasons.append(f"{what}; {first}" if backup.manifests else f"there is no manifest, so {what}; {first}")
    report_missing(found, backup.timestamp, sums)


def report_missing(found: Inspection, timestamp: str, sums: Sums) -> None:
    """Report how many required objects are missing."""
    if sums.missing:
        found.missing += sums.missing
        key = f"{backup_prefix(timestamp)}{sums.first_missing}"
        found.problems.append(f"{count_message(sums.missing, sums.required, 'missing', key)}; {BY_GPBACKUP}")


def failure_message(timestamp: str) -> str:
    """The fault that gpbackup's config file says of a backup that it failed."""
    return f"gpbackup's config file, {backup_prefix(timestamp)}{backup_config_name(timestamp)}, says that it failed"


def reason_of(required: Required) -> str:
    """Why it is unknown which data objects a backup must have."""
    why = required.not_checked.removeprefix("not checked: ")
    return f"it is unknown whether all data is there: {why}"
