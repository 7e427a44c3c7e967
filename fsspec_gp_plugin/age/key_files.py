"""Reads recipients and identities as the configuration gives them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..private import read_file
from .x25519 import Identity, Recipient, parse_identity, parse_recipient

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_KEYS = 100


def is_path(text: str) -> bool:
    """Whether recipients are given as the path of a file."""
    return text.startswith(("/", "~", "."))


def parse_recipients(text: str) -> tuple[Recipient, ...]:
    """The recipients in a text, separated by blanks, each once. Raises ValueError."""
    return _parse_recipients(tuple(text.split()))


@lru_cache(maxsize=16)
def _parse_recipients(words: tuple[str, ...]) -> tuple[Recipient, ...]:
    if not words:
        raise ValueError("expected at least one recipient, age1…")
    if len(words) > MOST_KEYS:
        raise ValueError(f"expected at most {MOST_KEYS} recipients")
    return tuple({one.public: one for one in map(parse_recipient, words)}.values())


def load_recipients(option: str, text: str) -> tuple[Recipient, ...]:
    """The recipients of an option's value: those in the text, or in the file that it names. Empty for "". Raises
    ConfigError, which names the option.
    """
    if not text:
        return ()
    of = f"option {option!r}"
    if is_path(text):
        path = os.path.expanduser(text)
        of = f"{of}: the file {path}"
        text = " ".join(line for _, line in _key_lines(read_file(path, of, is_secret=False)))
    try:
        return parse_recipients(text)
    except ValueError as error:
        raise ConfigError(f"{of}: {error}") from None


def load_identities(path: str) -> tuple[Identity, ...]:
    """The identities in a file as `age-keygen` writes it, which only this user may read. Raises ConfigError."""
    path = os.path.expanduser(path)
    return _parse_identities(path, read_file(path, f"option 'encryption_identity_file': {path}"))


@lru_cache(maxsize=4)
def _parse_identities(path: str, text: str) -> tuple[Identity, ...]:
    found = []
    for number, line in _key_lines(text):
        try:
            found.append(parse_identity(line))
        except ValueError as error:
            raise ConfigError(
                f"option 'encryption_identity_file': line {number} of {path} is not an X25519 identity: {error}"
            ) from None
    if not 1 <= len(found) <= MOST_KEYS:
        raise ConfigError(f"option 'encryption_identity_file': {path} has {len(found)} identities; expected 1 to "
                          f"{MOST_KEYS}, as `keygen` writes them")  # fmt: skip
    return tuple(found)


def _key_lines(text: str) -> Iterable[tuple[int, str]]:
    """The lines that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped
