"""Checks XML before it is parsed to a tree, because the server that sent it may not be the store."""

from __future__ import annotations

import re
from xml.parsers import expat

_LARGEST = 64 << 20
_DEEPEST = 50
# A page of a listing: a thousand objects with all the metadata that they may have.
_MOST_ELEMENTS = 2_000_000


class NotPlainError(ValueError):
    """The document is larger than a listing can be, or defines entities."""


def require_plain(text: bytes) -> None:
    """Raise NotPlainError for XML that is too long, nested too deep, or has too many elements or a document type. Leave
    what is not XML to the parser.
    """
    if len(text) > _LARGEST:
        raise NotPlainError(f"it has {len(text)} bytes")
    depth = count = 0

    def start(_name: str, _attributes: list[str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _DEEPEST or count > _MOST_ELEMENTS:
            raise NotPlainError("it is nested too deep" if depth > _DEEPEST else "it has too many elements")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise NotPlainError("it has a document type")

    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError:
        return


def element(name: str, text: str) -> str:
    """Return the text of the first element of that name in a short response that may be no XML; "" if none."""
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found.group(1) if found else ""
