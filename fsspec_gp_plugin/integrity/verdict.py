"""What was found when a backup was read to verify it, written down beside it: in the name of a small object, so that a
listing tells it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import __version__, private
from .manifest import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(re.escape(FOLDER) + r"verified\.([0-9]{1,6})-of-([0-9]{1,6})\.([0-9]{1,12})\.(ok|failed)")


@dataclass(frozen=True)
class Verdict:
    """Of part `part`, from 0, of `parts`: when it had been read, in seconds since 1970, and whether all was well."""

    part: int
    parts: int
    time: int
    well: bool

    @property
    def name(self) -> str:
        """Below the backup's prefix."""
        return f"{FOLDER}verified.{self.part}-of-{self.parts}.{self.time}.{'ok' if self.well else 'failed'}"


def new(shard: tuple[int, int], *, well: bool) -> Verdict:
    """That of now."""
    return Verdict(*shard, int(time.time()), well)


def read(name: str) -> Verdict | None:
    """The verdict that the name of an object below a backup's prefix is; None for any other."""
    match = _NAME.fullmatch(name)
    return match and Verdict(int(match[1]), int(match[2]), int(match[3]), match[4] == "ok")


def content(verified: int, size: int, problems: int) -> bytes:
    """What the object holds, for whoever looks."""
    told = {
        "plugin": __version__,
        "host": private.host(),
        "objects": verified,
        "bytes": size,
        "problems": problems,
    }
    return json.dumps(told).encode() + b"\n"


def of_all(verdicts: Iterable[Verdict]) -> Verdict | None:
    """One for the whole backup: a failure since it was last found well in all its parts, or that; None without either.

    Its time is that of the oldest of its parts.
    """
    latest: dict[tuple[int, int], Verdict] = {}
    for one in verdicts:
        kept = latest.setdefault((one.parts, one.part), one)
        if one.time >= kept.time:
            latest[one.parts, one.part] = one
    well: Verdict | None = None
    for parts in {parts for parts, _ in latest}:
        found = [one for one in latest.values() if one.parts == parts and one.part < parts and one.well]
        if len(found) == parts:
            oldest = min(found, key=lambda one: one.time)
            well = oldest if well is None or oldest.time > well.time else well
    failed = [one for one in latest.values() if not one.well and (well is None or one.time >= well.time)]
    return max(failed, key=lambda one: one.time, default=well)
