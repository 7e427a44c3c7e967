"""Parses what gpbackup writes about a backup: its config file `gpbackup_T_config.yaml`, and its report.

The config file says how the backup was made, and which backups its restore needs. It names every table, so it is read
line by line. gpbackup writes one key a line, in YAML's block style: the file's own keys begin in the first column,
those of the plan's parts in the third; text over several lines is indented by more. Anything else is an error, as
nothing here may be guessed.

The report is a block of keys and values, always in one order, and then counts of objects. Up to version 1.12 the keys
are in title case. Some values are free text that may go over several lines: the database's name, the command line, the
error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..storage.contract import ObjectInfo

# The number of backups that one restore reads.
LONGEST_PLAN = 1000
_KEY = re.compile(rb"([a-z]+):(?:[ ]+(.*))?")
_PART_KEY = re.compile(rb"(- |  )([a-z]+):(?:[ ]+(.*))?")
TIMESTAMP = re.compile(r"[0-9]{14}")
# The keys that are used. The file may have any number of other keys.
_NAMES = frozenset(
    ("compressiontype", "segmentcount", "compressed", "singledatafile", "metadataonly", "withstatistics", "status")
)
# The end of data objects' names, by the name of gpbackup's compression.
SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


class BadBackupConfigError(StorageError):
    """gpbackup's config file is there, but damaged or not gpbackup's."""


class SummarizedTables(NamedTuple):
    """The tables of an encrypted backup, as the coordinator's manifest has them in its summary. `total`: how many have
    data in the backup, None if it is unknown; with a single data file 1 if there are any. `is_listed`: the manifest
    lists their oids.
    """

    manifest: ObjectInfo
    total: int | None
    is_listed: bool


@dataclass(frozen=True)
class BackupConfig:
    """What gpbackup's config file says. `segments`: how many segments wrote to the backup, None if it doesn't say, as
    before version 1.26. `suffix`: the end of data objects' names, None if the compression is not known. `plan`: the
    timestamps of the backups that a restore reads, and whether it reads data of any table there; None without a plan.
    `tables`: None unless all this comes from a summary, as gpbackup's files are encrypted. `is_encrypted`: whether the
    file is.
    """

    segments: int | None = None
    suffix: str | None = ""
    single_data_file: bool = False
    metadata_only: bool = False
    with_statistics: bool = False
    status: str = ""
    plan: Mapping[str, bool] | None = None
    tables: SummarizedTables | None = None
    is_encrypted: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether the backup failed. After a panic of gpbackup the report may say otherwise."""
        return self.status == "Failure"


def backup_config_name(timestamp: str) -> str:
    """The name of gpbackup's config file below the backup's prefix."""
    return f"gpbackup_{timestamp}_config.yaml"


def parse_backup_config(key: str, text: Iterable[bytes]) -> BackupConfig:
    """Parse the lines of gpbackup's config file. Raises BadBackupConfigError, which names the key."""
    values: dict[str, str] = {}
    plan: _Plan | None = None
    in_plan = False
    for line in text:
        match = _KEY.fullmatch(line)
        if match:
            name = match[1].decode()
            if name in _NAMES:
                values[name] = _scalar(match[2])
            in_plan = name == "restoreplan"
            if in_plan:
                plan = _Plan(key)
        elif in_plan and plan is not None:
            plan.take(line)
    try:
        return _backup_config(values, None if plan is None else plan.finish())
    except ValueError as error:
        raise BadBackupConfigError(f"{key} is damaged, or not gpbackup's: {error}") from None


def _backup_config(values: Mapping[str, str], plan: Mapping[str, bool] | None) -> BackupConfig:
    compression = values.get("compressiontype") or "gzip"  # the only one up to 1.20
    return BackupConfig(
        segments=_number(values.get("segmentcount", "")) or None,
        suffix=SUFFIXES.get(compression) if _flag(values, "compressed") else "",
        single_data_file=_flag(values, "singledatafile"),
        metadata_only=_flag(values, "metadataonly"),
        with_statistics=_flag(values, "withstatistics"),
        status=values.get("status", ""),
        plan=plan,
    )


def _scalar(value: bytes | None) -> str:
    text = (value or b"").decode(errors="replace").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{0,5}", text):
        raise ValueError(f"{text[:20]!r} is not a number of segments")
    return int(text or "0")


def _flag(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "false")
    if value not in ("true", "false"):
        raise ValueError(f"{name} is {value[:20]!r}")
    return value == "true"


class _Plan:
    """The restore plan, while it is read."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._parts: dict[str, bool] = {}
        self._part_begun = False
        self._timestamp = ""
        self._reads: bool | None = None

    def take(self, line: bytes) -> None:
        """Take the plan's next line. Raises BadBackupConfigError."""
        match = _PART_KEY.fullmatch(line)
        if match:
            if match[1] == b"- ":
                self._end_part()
                self._part_begun, self._timestamp, self._reads = True, "", None
            value = _scalar(match[3])
            if match[2] == b"timestamp":
                self._timestamp = value
            elif match[2] == b"tablefqns" and value:
                self._reads = value != "[]"
        elif line.startswith(b"  - ") and self._part_begun:
            self._reads = True
        elif line and not line.startswith((b"   ", b"#")):
            raise BadBackupConfigError(f"{self._key}: its restoreplan is damaged, or not gpbackup's")

    def _end_part(self) -> None:
        if not self._part_begun:
            return
        if not TIMESTAMP.fullmatch(self._timestamp) or len(self._parts) > LONGEST_PLAN:
            raise BadBackupConfigError(f"{self._key}: its restoreplan is damaged, too long, or not gpbackup's")
        # If the plan does not say what is read, it may be anything.
        self._parts[self._timestamp] = self._reads is not False

    def finish(self) -> dict[str, bool]:
        """The whole plan. Raises BadBackupConfigError."""
        self._end_part()
        return self._parts


# The report's keys in all versions. Each version writes its keys in this order.
REPORT_KEYS = (
    "Timestamp Key",
    "GPDB Version",
    "gpbackup Version",
    "Database Name",
    "Command Line",
    "Compression",
    "Plugin Executable",
    "Backup Section",
    "Object Filtering",
    "Includes Statistics",
    "Data File Format",
    "Incremental",
    "Incremental Backup Set",
    "Start Time",
    "End Time",
    "Duration",
    "Backup Status",
    "Backup Error",
    "Database Size",
    "Segment Count",
)
_PLACES = {key.lower(): place for place, key in enumerate(REPORT_KEYS)}
# A line in the text of these values may look like a later key. The next key is always this one.
_NEXT = {"database name": "command line", "command line": "compression"}
# The key whose value is the timestamps in the lines below it.
_SET = "incremental backup set"
_REPORT_LINE = re.compile(r"([A-Za-z ]+):[ \t]*(.*)")


def parse_report(text: str) -> dict[str, str]:
    """The values in gpbackup's report, by their keys in lower case. Empty for other text.

    A key counts only at its place in the order, so no line of an error or of a command line is taken for a key. Of a
    value over several lines only the first line is returned; but of the incremental backup set all timestamps.
    """
    lines = text.split("\n")
    matches = [(number, match) for number, match in enumerate(map(_REPORT_LINE.fullmatch, lines)) if match]
    known = [(number, match) for number, match in matches if match[1].lower() in _PLACES]
    # All keys of one report are in the same case as its first key.
    keys = REPORT_KEYS if known and known[0][1][1] in REPORT_KEYS else _PLACES
    pairs = [(match[1].lower(), match[2].strip(), number) for number, match in known if match[1] in keys]
    last = {key: place for place, (key, _, _) in enumerate(pairs)}
    found: dict[str, str] = {}
    place, awaited = -1, ""
    for index, (key, value, number) in enumerate(pairs):
        if awaited and key != awaited and last.get(awaited, -1) > index:
            continue
        if _PLACES[key] > place:
            found[key] = " ".join(_timestamps(lines[number + 1 :])) if key == _SET else value
            place, awaited = _PLACES[key], _NEXT.get(key, "")
    return found


def _timestamps(lines: Iterable[str]) -> list[str]:
    """The timestamps with which the lines begin, one each."""
    return list(takewhile(TIMESTAMP.fullmatch, map(str.strip, lines)))


def parse_backup_set(report: Mapping[str, str], timestamp: str) -> frozenset[str] | None:
    """The timestamps of the other backups that an incremental backup needs, by its report. None if it doesn't say it.
    `timestamp`: its own, which is the last one in a whole report.
    """
    found = report.get(_SET, "").split()
    if not 1 < len(found) <= LONGEST_PLAN or found[-1] != timestamp:
        return None
    return frozenset(found) - {timestamp}
