"""What was found when a backup was read to verify it, written down beside it: in the name of a small object, so that a
listing tells it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import __version__, private
from .manifest import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(
    re.escape(FOLDER)
    + r"verified\.([0-9]{1,6})-of-([0-9]{1,6})\.([0-9]{1,12})\.(?:(ok)|(failed)|unchecked-([0-9]{1,12}))"
)


@dataclass(frozen=True)
class Verdict:
    """Of part `part`, from 0, of `parts`: when it had been read, in seconds since 1970, and whether all of it was
    checked and well. `not_checked`: how many objects could not be checked, where no fault was found and yet not all was
    checked; 0 where it was not objects; else None.
    """

    part: int
    parts: int
    time: int
    well: bool
    not_checked: int | None = None

    @property
    def name(self) -> str:
        """Below the backup's prefix."""
        found = f"unchecked-{self.not_checked}" if self.not_checked is not None else "ok" if self.well else "failed"
        return f"{FOLDER}verified.{self.part}-of-{self.parts}.{self.time}.{found}"

    @property
    def is_fault(self) -> bool:
        """Whether something was found to be wrong."""
        return not self.well and self.not_checked is None

    def __str__(self) -> str:
        if self.is_fault:
            return "failed"
        return "ok" if self.not_checked is None else told_of(self.not_checked)


def told_of(not_checked: int) -> str:
    """In a table: that so many objects could not be checked; 0: something else, such as whether all are there."""
    return f"{not_checked:,} not checked" if not_checked else "not checked"


def new(shard: tuple[int, int], *, well: bool, not_checked: int | None = None) -> Verdict:
    """That of now."""
    return Verdict(*shard, int(time.time()), well, not_checked)


def read(name: str) -> Verdict | None:
    """The verdict that the name of an object below a backup's prefix is; None for any other."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    not_checked = None if match[6] is None else int(match[6])
    return Verdict(int(match[1]), int(match[2]), int(match[3]), match[4] is not None, not_checked)


def content(verified: int, size: int, problems: int, not_checked: int) -> bytes:
    """What the object holds, for whoever looks."""
    told = {
        "plugin": __version__,
        "host": private.host(),
        "objects": verified,
        "bytes": size,
        "problems": problems,
        "not_checked": not_checked,
    }
    return json.dumps(told).encode() + b"\n"


def of_all(verdicts: Iterable[Verdict]) -> Verdict | None:
    """One for the whole backup: a fault since it was last read in all its parts without any, or what that has found;
    None without either.

    Its time is that of the oldest of its parts.
    """
    latest: dict[tuple[int, int], Verdict] = {}
    for one in verdicts:
        kept = latest.setdefault((one.parts, one.part), one)
        if one.time >= kept.time:
            latest[one.parts, one.part] = one
    whole: Verdict | None = None
    for parts in {parts for parts, _ in latest}:
        found = [one for one in latest.values() if one.parts == parts and one.part < parts and not one.is_fault]
        if len(found) == parts:
            together = _together(found)
            whole = together if whole is None or together.time > whole.time else whole
    faults = [one for one in latest.values() if one.is_fault and (whole is None or one.time >= whole.time)]
    return max(faults, key=lambda one: one.time, default=whole)


def _together(parts: list[Verdict]) -> Verdict:
    """One of all parts, none of which has a fault."""
    oldest = min(parts, key=lambda one: one.time)
    left = [one.not_checked for one in parts if one.not_checked is not None]
    return replace(oldest, well=not left, not_checked=sum(left) if left else None)
