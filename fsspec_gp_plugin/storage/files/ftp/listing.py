"""What an FTP server says of a directory: by MLSD, or where it has none by LIST as ls writes it."""

from __future__ import annotations

import ftplib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .connection import FtpConnection


@dataclass(frozen=True)
class Entry:
    """One name in a directory, and the bytes of a file."""

    name: str
    is_directory: bool
    size: int


def entries(connection: FtpConnection, path: str) -> list[Entry]:
    """All that is in a directory; ftplib.error_perm where it can't be listed."""
    try:
        return list(_by_facts(connection.lines(f"MLSD {path}")))
    except ftplib.error_perm as error:
        if not str(error).startswith(("500", "501", "502", "504")):
            raise
    return list(_by_ls(connection.lines(f"LIST -a {path}")))


def _by_facts(lines: list[str]) -> Iterator[Entry]:
    for line in lines:
        facts, _, name = line.partition(" ")
        said = {key.lower(): value for key, _, value in (fact.partition("=") for fact in facts.split(";"))}
        kind = said.get("type", "").lower()
        if kind in ("file", "dir"):
            yield Entry(name, kind == "dir", int(said.get("size") or 0))


def _by_ls(lines: list[str]) -> Iterator[Entry]:
    for line in lines:
        words = line.split(maxsplit=8)
        if len(words) == 9 and words[0][0] in "-dl" and words[8] not in (".", ".."):
            yield Entry(words[8], words[0][0] == "d", int(words[4]) if words[4].isdecimal() else 0)
