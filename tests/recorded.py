"""Backups that real gpbackups have made of one small database: what gpbackup wrote down, and the names of all objects.

Below `gpbackup_records/`, one file a backup: its record, the data entries of its table of contents, and the names; and
the reports of incremental backups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fsspec_gp_plugin.keys import backup_prefix

_FOLDER = Path(__file__).parent / "gpbackup_records"
FAILED = "failed"
# All but the one that failed.
NAMES = sorted(path.stem for path in _FOLDER.glob("*.txt") if path.stem != FAILED)
# Each builds upon those before it; the restore of the last reads no data of the third.
CHAIN = ("leaf_partition_data_full", "incremental_1", "incremental_2_nothing_changed", "incremental_3")


@dataclass(frozen=True)
class Recorded:
    """One backup. `written`: gpbackup's config file and table of contents, by their names; `names`: all objects."""

    timestamp: str
    written: dict[str, bytes]
    names: list[str]

    @property
    def prefix(self) -> str:
        """Below it are its objects."""
        return backup_prefix(self.timestamp)

    @property
    def data(self) -> list[str]:
        """The names of the segments' objects."""
        return [name for name in self.names if re.match(r"gpbackup_[0-9]{1,5}_", name)]

    @property
    def objects(self) -> dict[str, bytes]:
        """All of them by key; what is not in gpbackup's own words has a few bytes."""
        return {self.prefix + name: self.written.get(name, b"data") for name in self.names}


def recorded(name: str) -> Recorded:
    """The backup of that name."""
    text = (_FOLDER / f"{name}.txt").read_text()
    head, toc, names = re.split(r"^%% (?:toc|names)\n", text, flags=re.MULTILINE)
    first, _, config = head.partition("\n")
    timestamp = first.removeprefix("%% ")
    written = {"config.yaml": config, "toc.yaml": toc}
    return Recorded(
        timestamp,
        {f"gpbackup_{timestamp}_{end}": data.encode() for end, data in written.items() if data},
        names.split(),
    )


def recorded_report(name: str) -> str:
    """The report of that incremental backup."""
    return (_FOLDER / f"{name}.report").read_text()
