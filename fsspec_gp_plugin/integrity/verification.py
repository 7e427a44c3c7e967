"""Keeps what `verify` found in the name of a small object beside the backup, so that a listing shows it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import __version__, private
from .object_names import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

# Results of parts have a folder of their own: a large cluster makes thousands of parts.
RESULTS_FOLDER = f"{FOLDER}verified/"
_NAME = re.compile(
    re.escape(FOLDER)
    + r"verified[./]([0-9]{1,6})-of-([0-9]{1,6})\.([0-9]{1,12})\.(?:(ok)|(failed)|unchecked-([0-9]{1,12}))"
)


@dataclass(frozen=True)
class VerificationResult:
    """What a verification of part `part`, from 0, of `parts` of a backup found. `time`: when it ended, in seconds since
    1970; `well`: everything was checked and is right. `not_checked`: None if everything was checked or a fault was
    found; otherwise how many objects could not be checked, 0 if something else could not.
    """

    part: int
    parts: int
    time: int
    well: bool
    not_checked: int | None = None

    @classmethod
    def now(cls, shard: tuple[int, int], *, well: bool, not_checked: int | None = None) -> VerificationResult:
        """The result of a verification that ended now."""
        return cls(*shard, int(time.time()), well, not_checked)

    @property
    def name(self) -> str:
        """The object's name below the backup's prefix."""
        word = f"unchecked-{self.not_checked}" if self.not_checked is not None else "ok" if self.well else "failed"
        start = RESULTS_FOLDER if self.parts > 1 else f"{FOLDER}verified."
        return f"{start}{self.part}-of-{self.parts}.{self.time}.{word}"

    @property
    def is_fault(self) -> bool:
        """Whether a fault was found."""
        return not self.well and self.not_checked is None

    def __str__(self) -> str:
        if self.is_fault:
            return "failed"
        return "ok" if self.not_checked is None else not_checked_text(self.not_checked)


def not_checked_text(not_checked: int) -> str:
    """How many objects could not be checked, for a table. 0 means that something else could not be checked."""
    return f"{not_checked:,} not checked" if not_checked else "not checked"


def parse_name(name: str) -> VerificationResult | None:
    """The verification result in an object's name below a backup's prefix. None for any other object."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    not_checked = None if match[6] is None else int(match[6])
    return VerificationResult(int(match[1]), int(match[2]), int(match[3]), match[4] is not None, not_checked)


def content(verified: int, size: int, problems: int, not_checked: int, *, decrypted: bool) -> bytes:
    """The content of the object: details for people. `decrypted`: whether the objects were also decrypted."""
    value = {
        "plugin": __version__,
        "host": private.host(),
        "objects": verified,
        "bytes": size,
        "problems": problems,
        "not_checked": not_checked,
        "decrypted": decrypted,
    }
    return json.dumps(value).encode() + b"\n"


def combine(results: Iterable[VerificationResult]) -> VerificationResult | None:
    """One result for the whole backup: the latest fault, if it is later than the last verification of all parts without
    a fault; otherwise the result of that verification, with the time of its oldest part. None if there is neither.
    """
    latest: dict[tuple[int, int], VerificationResult] = {}
    for one in results:
        kept = latest.setdefault((one.parts, one.part), one)
        if one.time >= kept.time:
            latest[one.parts, one.part] = one
    whole: VerificationResult | None = None
    for parts in {parts for parts, _ in latest}:
        found = [one for one in latest.values() if one.parts == parts and one.part < parts and not one.is_fault]
        if len(found) == parts:
            combined = _combine_parts(found)
            whole = combined if whole is None or combined.time > whole.time else whole
    faults = [one for one in latest.values() if one.is_fault and (whole is None or one.time >= whole.time)]
    return max(faults, key=lambda one: one.time, default=whole)


def _combine_parts(parts: list[VerificationResult]) -> VerificationResult:
    """One result for all parts, none of which has a fault."""
    oldest = min(parts, key=lambda one: one.time)
    left = [one.not_checked for one in parts if one.not_checked is not None]
    return replace(oldest, well=not left, not_checked=sum(left) if left else None)
