"""gpbackup's own record of one backup, `gpbackup_T_config.yaml`: how it was made, and what its restore needs beside it.

It is read line by line, as it names every table. gpbackup writes one key a line, in YAML's block style: the record's
own keys begin in the first column, those of the plan's parts in the third; text that goes over several lines is
indented by more. What is laid out otherwise is an error, as nothing here may be guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StorageError
from ..keys import backup_prefix
from ..storage.reading import lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..storage.contract import Store

_LARGEST = 1 << 30
# Backups that one restore reads.
_LONGEST_PLAN = 1000
_KEY = re.compile(rb"([a-z]+):(?:[ ]+(.*))?")
_PART_KEY = re.compile(rb"(- |  )([a-z]+):(?:[ ]+(.*))?")
_TIMESTAMP = re.compile(r"[0-9]{14}")
# Of the record's own keys those that are of use; it may have as many others as fit.
_NAMES = frozenset(
    ("compressiontype", "segmentcount", "compressed", "singledatafile", "metadataonly", "withstatistics", "status")
)
# By the name of gpbackup's compression: how the names of data objects end.
_SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


class BadRecordError(StorageError):
    """The record is there, and yet does not tell."""


@dataclass(frozen=True)
class Record:
    """What it says. `segments`: how many wrote to the backup, None where it doesn't say, as before version 1.26.
    `suffix`: how names of data objects end, None where nobody knows that compression. `plan`: which backups, by
    timestamp, a restore reads, and whether it reads data of any table there; None where there is no plan.
    """

    segments: int | None = None
    suffix: str | None = ""
    single_data_file: bool = False
    metadata_only: bool = False
    with_statistics: bool = False
    status: str = ""
    plan: Mapping[str, bool] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether gpbackup calls the backup failed here; its report may say otherwise, where gpbackup has panicked."""
        return self.status == "Failure"


def name_of(timestamp: str) -> str:
    """The name of a backup's record below its prefix."""
    return f"gpbackup_{timestamp}_config.yaml"


def read(store: Store, timestamp: str) -> Record:
    """The record of a backup; NotFound where there is none, BadRecordError where it can't be gpbackup's."""
    key = backup_prefix(timestamp) + name_of(timestamp)
    info = store.stat(key)
    if info.size > _LARGEST:
        raise BadRecordError(f"{key} has {info.size} bytes: too many to be gpbackup's record")
    return parsed(key, lines(store, info))


def parsed(key: str, text: Iterable[bytes]) -> Record:
    """What the lines of a record say; BadRecordError, by its key."""
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
        return _record(values, None if plan is None else plan.ended())
    except ValueError as error:
        raise BadRecordError(f"{key} is damaged, or not gpbackup's: {error}") from None


def _record(values: Mapping[str, str], plan: Mapping[str, bool] | None) -> Record:
    compression = values.get("compressiontype") or "gzip"  # which was the only one up to 1.20
    return Record(
        segments=_number(values.get("segmentcount", "")) or None,
        suffix=_SUFFIXES.get(compression) if _flag(values, "compressed") else "",
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
        raise ValueError(f"{text[:20]!r} is no number of segments")
    return int(text or "0")


def _flag(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "false")
    if value not in ("true", "false"):
        raise ValueError(f"{name} is {value[:20]!r}")
    return value == "true"


class _Plan:
    """The plan, while it is read."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._parts: dict[str, bool] = {}
        self._part_begun = False
        self._timestamp = ""
        self._reads: bool | None = None

    def take(self, line: bytes) -> None:
        """The plan's next line; BadRecordError."""
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
            raise BadRecordError(f"{self._key}: its restoreplan is damaged, or not gpbackup's")

    def _end_part(self) -> None:
        if not self._part_begun:
            return
        if not _TIMESTAMP.fullmatch(self._timestamp) or len(self._parts) > _LONGEST_PLAN:
            raise BadRecordError(f"{self._key}: its restoreplan is damaged, too long, or not gpbackup's")
        # Where nothing tells what is read, it may be anything.
        self._parts[self._timestamp] = self._reads is not False

    def ended(self) -> dict[str, bool]:
        """All of it; BadRecordError."""
        self._end_part()
        return self._parts
