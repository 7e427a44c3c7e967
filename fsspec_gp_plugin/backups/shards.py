"""A part of the work on one backup, for many hosts at once."""

from __future__ import annotations

import re

from ..errors import UsageError


def parse_shard(text: str) -> tuple[int, int]:
    """`I/N`: part I, from 0, of N parts; UsageError.

    >>> parse_shard("0/4")
    (0, 4)
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(f"{text!r} is no part of a whole: expected I/N with I from 0 to N - 1, such as 0/4")
    return int(match[1]), int(match[2])
