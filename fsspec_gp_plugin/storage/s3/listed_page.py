"""Parses pages of listings. botocore's parser needs ten times as long, above all for the times of objects."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.etree.ElementTree import ParseError, fromstring

from ...errors import Unreachable
from ..plain_xml import NotPlainError, require_plain

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_PAGE = 32 << 20
# Parts of a page that are keys, or parts of keys.
_KEYS = {"Key", "Prefix", "Delimiter", "Marker", "NextMarker"}


# What each entry of these kinds has.
_NEEDED = {"Contents": {"Key", "Size"}, "CommonPrefixes": {"Prefix"}}


def parse_page(text: bytes) -> dict[str, Any]:
    """The parts of a page by the names that botocore gives them. Raises Unreachable for what is no XML."""
    try:
        require_plain(text)
        root = fromstring(text)  # noqa: S314 - require_plain() has looked at it
    except (NotPlainError, ParseError, ValueError) as error:
        raise Unreachable(f"the answer is no listing ({error}), so it is not the store's") from None
    is_quoted = any(_name(part) == "EncodingType" and part.text == "url" for part in root)
    page: dict[str, Any] = {}
    for part in root:
        name = _name(part)
        if name in _NEEDED:
            entry = _entry(part, is_quoted=is_quoted)
            if not entry.keys() >= _NEEDED[name]:
                raise Unreachable(f"the answer is no listing (an entry lacks {', '.join(_NEEDED[name])})")
            page.setdefault(name, []).append(entry)
        else:
            page[name] = _value(name, part.text or "", is_quoted=is_quoted)
    return page


def _name(part: Element) -> str:
    return part.tag.rpartition("}")[2]


def _entry(part: Element, *, is_quoted: bool) -> dict[str, Any]:
    named = ((_name(one), one.text or "") for one in part)
    return {name: _value(name, text, is_quoted=is_quoted) for name, text in named}


def _value(name: str, text: str, *, is_quoted: bool) -> Any:
    if name == "Size":
        return _number(text)
    if name == "LastModified":
        return _time(text)
    if name == "IsTruncated":
        return text.strip().lower() == "true"
    return unquote_plus(text) if is_quoted and name in _KEYS else text


def _number(text: str) -> int:
    if not text.strip().isdecimal():
        raise Unreachable(f"the answer is no listing: {text[:20]!r} is no size, so it is not the store's")
    return int(text)


def _time(text: str) -> datetime | None:
    """None for any other form: most of what reads listings does without a time."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
