"""Values as people write them: sizes, durations, numbers and choices; a ValueError says what was expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?b|(?:ilo|ega|iga|era)?bytes?)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)?", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_size(text: str) -> int:
    """A size in bytes; K, M, G and T are powers of 1,024, with or without B or iB, as in the S3 plugin.

    >>> parse_size("8MB"), parse_size("1.5 GiB"), parse_size("65536")
    (8388608, 1610612736, 65536)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a size such as 8MB, 512KB or 1.5GB")
    return int(float(match.group(1)) * _FACTOR[match.group(2).lower()])


def parse_duration(text: str) -> float:
    """A duration in seconds, which are also the unit if there is none.

    >>> parse_duration("60s"), parse_duration("5m"), parse_duration("250ms"), parse_duration("2w")
    (60.0, 300.0, 0.25, 1209600.0)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a duration such as 60s, 5m or 1h")
    return float(match.group(1)) * _SECONDS[(match.group(2) or "s").lower()]


def format_duration(seconds: float) -> str:
    """A duration for people: its two largest units, up to days.

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
    """A number of bytes for people, in powers of 1,024.

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


def parse_count(text: str) -> int:
    """A number of requests, 1 to 64."""
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError("expected a whole number from 1 to 64")
    return int(text)


def parse_part_size(text: str) -> int:
    """The size of a part in bytes."""
    size = parse_size(text)
    if not 1 << 16 <= size <= 5 << 30:
        raise ValueError("expected a size from 64KB to 5GB")
    return size


def parse_limit_of_parts(text: str) -> int:
    """The maximum number of parts of an object."""
    if not text.isdecimal() or not 2 <= int(text) <= 1_000_000:
        raise ValueError("expected a whole number from 2 to 1000000")
    return int(text)


def parse_retries(text: str) -> int:
    """A number of retries."""
    if not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError("expected a whole number from 0 to 1000000")
    return int(text)


def parse_memory(text: str) -> int:
    """The memory for buffers in bytes."""
    size = parse_size(text)
    if not 1 << 20 <= size <= 64 << 30:
        raise ValueError("expected a size from 1MB to 64GB")
    return size


def parse_bandwidth(text: str) -> int:
    """Bytes a second."""
    rate = parse_size(text.removesuffix("/s"))
    if rate < 1 << 10:
        raise ValueError("expected a rate of at least 1KB/s, such as 100MB/s")
    return rate


def parse_deadline(text: str) -> float:
    """A time limit in seconds, up to an hour."""
    seconds = parse_duration(text)
    if not 1 <= seconds <= 3600:
        raise ValueError("expected a duration from 1s to 1h")
    return seconds


def parse_idle(text: str) -> float:
    """An idle time in seconds, up to a day."""
    seconds = parse_duration(text)
    if not 1 <= seconds <= 86400:
        raise ValueError("expected a duration from 1s to 24h")
    return seconds


def parse_switch(text: str) -> bool:
    """`on` or `off`."""
    if text.lower() not in ("on", "true", "yes", "off", "false", "no"):
        raise ValueError("expected on or off")
    return text.lower() in ("on", "true", "yes")


def parse_switched_off(text: str) -> str:
    """`off`, the only value of an option that is not supported."""
    if text not in ("off", "false", "no", ""):
        raise ValueError("is not supported yet: remove it or set it to off")
    return text


def parse_name(text: str) -> str:
    """A name that may appear in messages and metrics."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("expected up to 64 letters, digits, dots, underscores and hyphens")
    return text


def parse_directory(text: str) -> str:
    """An absolute path, which may begin with `${NAME}`."""
    if not text.startswith(("/", "${")):
        raise ValueError("expected an absolute path")
    return text


def one_of(*names: str) -> Callable[[str], str]:
    """A parser that accepts one of these words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return text

    return parse
