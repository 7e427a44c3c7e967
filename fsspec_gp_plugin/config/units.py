"""Sizes and durations as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?b|(?:ilo|ega|iga|era)?bytes?)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Bytes; K, M, G and T are powers of 1,024, with or without B or iB, as in the S3 plugin.

    >>> parse_size("8MB"), parse_size("1.5 GiB"), parse_size("65536")
    (8388608, 1610612736, 65536)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a size such as 8MB, 512KB or 1.5GB")
    return int(float(match.group(1)) * _FACTOR[match.group(2).lower()])


def parse_duration(text: str) -> float:
    """Seconds; without a unit, seconds.

    >>> parse_duration("60s"), parse_duration("5m"), parse_duration("250ms")
    (60.0, 300.0, 0.25)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a duration such as 60s, 5m or 1h")
    return float(match.group(1)) * _SECONDS[(match.group(2) or "s").lower()]


def format_size(count: float) -> str:
    """A count of bytes for people, in powers of 1,024.

    >>> format_size(8388608), format_size(1000)
    ('8.0 MB', '1000 B')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KB", "MB", "GB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TB"
