"""What the documents hold, as Markdown's own parser reads them: code, links, headings and tables, with their lines."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Piece:
    """A part of a document: the line on which it (or the paragraph that it is in) begins, and its text.

    `kind` is "block" or "span" for code, "link" or "image" for addresses; `language` is a block's.
    """

    line: int
    kind: str
    text: str
    language: str = ""


def find(root: Path) -> list[Path]:
    """The documents below a checkout's root."""
    at_top = (root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    return [path for path in at_top if path.exists()] + sorted((root / "docs").rglob("*.md"))


def code(document: Path) -> Iterator[Piece]:
    """All code of a document: blocks, and what stands between backquotes."""
    for line, token in _tokens(document):
        if token.type in ("fence", "code_block"):
            yield Piece(line, "block", token.content, token.info.partition(" ")[0])
        elif token.type == "code_inline":
            yield Piece(line, "span", token.content)


def links(document: Path) -> Iterator[Piece]:
    """The addresses of its links and images."""
    for line, token in _tokens(document):
        if token.type == "link_open":
            yield Piece(line, "link", str(token.attrs["href"]))
        elif token.type == "image":
            yield Piece(line, "image", str(token.attrs["src"]))


def anchors(document: Path) -> set[str]:
    """What a link to a part of it may name: its headings, as GitHub writes them in addresses."""
    found: set[str] = set()
    previous = None
    for token in _MARKDOWN.parse(document.read_text()):
        if previous == "heading_open":
            text = "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))
            name = plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = 0
            while name in found:
                number += 1
                name = f"{plain}-{number}"
            found.add(name)
        previous = token.type
    return found


def report(program: str, problems: Iterable[str]) -> int:
    """Print the problems, one a line, on standard error; returns the exit status."""
    found = list(problems)
    for problem in found:
        print(f"{program}: {problem}", file=sys.stderr)
    return 1 if found else 0


def _tokens(document: Path) -> Iterator[tuple[int, Token]]:
    """Every token, those within paragraphs too, with the line of the nearest block that has one, counted from 1."""
    line = 1
    for token in _MARKDOWN.parse(document.read_text()):
        if token.map:
            line = token.map[0] + 1
        yield line, token
        within = line
        for child in token.children or ():
            within += child.type in ("softbreak", "hardbreak")
            yield within, child
