"""Reads recipients and identities as the configuration gives them."""

from __future__ import annotations

import os
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..private import read_file
from .x25519 import Identity, Recipient, parse_identity, parse_recipient

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_KEYS = 100
_ENCRYPTED_FILE = ("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----")


def is_path(text: str) -> bool:
    """Whether it is an absolute path, which may begin with `~` or `${NAME}`, rather than keys."""
    return text.startswith(("/", "~", "${"))


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


def load_identities(path: str, option: str = "option 'encryption_identity_file'") -> tuple[Identity, ...]:
    """The identities in a file as `age-keygen` writes it, which only this user may read. Raises ConfigError, which
    names the option.
    """
    path = os.path.expanduser(path)
    content = read_file(path, f"{option}: {path}", errors="replace")  # a file that `age` has encrypted is no text
    return parse_identities(content, path, f"{option}: ")


@lru_cache(maxsize=4)
def parse_identities(text: str, path: str, before: str = "") -> tuple[Identity, ...]:
    """The identities in the text of such a file. Raises ConfigError, which quotes nothing of it. `before`: how the
    message begins.
    """
    if text.startswith(_ENCRYPTED_FILE):
        raise ConfigError(
            f"{before}{path} is encrypted; decrypt it by `age -d`, and keep the result where only you can read it"
        )
    found = []
    for number, line in _key_lines(text):
        try:
            found.append(parse_identity(line))
        except ValueError as error:
            raise ConfigError(f"{before}line {number} of {path} is not an X25519 identity: {error}") from None
    if not 1 <= len(found) <= MOST_KEYS:
        raise ConfigError(
            f"{before}{path} has {len(found)} identities; expected 1 to {MOST_KEYS}, as `keygen` writes them"
        )
    return tuple(found)


def format_identity(identity: Identity) -> str:
    """The text of a file with a new identity, as `age-keygen` writes it."""
    created = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"# created: {created}\n# public key: {identity.recipient.text}\n{identity.text}\n"


def _key_lines(text: str) -> Iterable[tuple[int, str]]:
    """The lines that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped
