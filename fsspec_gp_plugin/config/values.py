"""The values of options: text becomes a number, a duration, a choice; ValueError says what was expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable


def parse_count(text: str) -> int:
    """A number of requests."""
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError("expected a whole number from 1 to 64")
    return int(text)


def parse_part_size(text: str) -> int:
    """Bytes of a part."""
    size = parse_size(text)
    if not 1 << 16 <= size <= 5 << 30:
        raise ValueError("expected a size from 64KB to 5GB")
    return size


def parse_limit_of_parts(text: str) -> int:
    """A number of parts."""
    if not text.isdecimal() or not 2 <= int(text) <= 1_000_000:
        raise ValueError("expected a whole number from 2 to 1000000")
    return int(text)


def parse_retries(text: str) -> int:
    """A number of retries."""
    if not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError("expected a whole number from 0 to 1000000")
    return int(text)


def parse_memory(text: str) -> int:
    """Bytes of buffers."""
    size = parse_size(text)
    if not 1 << 20 <= size <= 64 << 30:
        raise ValueError("expected a size from 1MB to 64GB")
    return size


def parse_bandwidth(text: str) -> int:
    """Bytes a second."""
    rate = parse_size(text.removesuffix("/s"))
    if rate < 1 << 10:
        raise ValueError("expected a size for each second, of 1KB or more")
    return rate


def parse_deadline(text: str) -> float:
    """Seconds, up to an hour."""
    seconds = parse_duration(text)
    if not 1 <= seconds <= 3600:
        raise ValueError("expected a duration from 1s to 1h")
    return seconds


def parse_idle(text: str) -> float:
    """Seconds, up to a day."""
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
    """`off`, for what is not supported."""
    if text not in ("off", "false", "no", ""):
        raise ValueError("is not yet supported: remove it or set it to off")
    return text


def parse_name(text: str) -> str:
    """A name for people."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("expected up to 64 letters, digits, dots, underscores and hyphens")
    return text


def parse_directory(text: str) -> str:
    """An absolute path, which may begin with `${NAME}`."""
    if not text.startswith(("/", "${")):
        raise ValueError("expected an absolute path")
    return text


def one_of(*names: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return text

    return parse
