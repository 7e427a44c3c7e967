"""Sizes and durations as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?b|(?:ilo|ega|iga|era)?bytes?)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)?", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


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

    >>> parse_duration("60s"), parse_duration("5m"), parse_duration("250ms"), parse_duration("2w")
    (60.0, 300.0, 0.25, 1209600.0)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a duration such as 60s, 5m or 1h")
    return float(match.group(1)) * _SECONDS[(match.group(2) or "s").lower()]


def format_duration(seconds: float) -> str:
    """A duration for people, in its largest unit up to days, with one that is smaller.

    >>> format_duration(1_209_600), format_duration(95_400), format_duration(60.4)
    ('14d', '1d 2h', '1m')
    """
    left = max(0, int(seconds))
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts.append(f"{count}{unit}" if count else "")
    first = next((at for at, part in enumerate(parts) if part), len(parts) - 1)
    return " ".join(part for part in parts[first : first + 2] if part) or "0s"


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
