"""A page of a container's listing: XML → entries."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError, fromstring

from ..plain_xml import NotPlainError, require_plain
from .answers import ForeignAnswerError
from .requests import Entry

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LONGEST_TIME = 64


def entries(page: bytes) -> tuple[list[Entry], str]:
    """The entries, and the marker of the page that follows or ""."""
    try:
        require_plain(page)
        root = fromstring(page)  # noqa: S314 - no entities, see above
    except NotPlainError as error:
        raise ForeignAnswerError(f"the listing is none of the service: {error}") from None
    except ParseError as error:
        raise ForeignAnswerError(f"the listing is not whole: {error}") from error
    if root.tag != "EnumerationResults":
        raise ForeignAnswerError("it is no listing; check account_name, account_host and the proxy")
    return [_entry(blob) for blob in root.iterfind("Blobs/Blob")], root.findtext("NextMarker") or ""


def _entry(blob: Element) -> Entry:
    etag = (blob.findtext("Properties/Etag") or "").strip('"')
    metadata = blob.find("Metadata")
    headers = {f"x-ms-meta-{item.tag.lower()}": item.text or "" for item in (metadata if metadata is not None else ())}
    is_directory = headers.get("x-ms-meta-hdi_isfolder", "").lower() == "true"
    return Entry(
        name=blob.findtext("Name") or "",
        size=int(blob.findtext("Properties/Content-Length") or 0),
        etag=f'"{etag}"' if etag else None,
        is_directory=is_directory or blob.findtext("Properties/ResourceType") == "directory",
        headers=headers,
        modified=_seconds(blob.findtext("Properties/Last-Modified") or ""),
        archived=blob.findtext("Properties/AccessTier") == "Archive",
    )


def _seconds(time: str) -> float | None:
    """Seconds since 1970 of a time as in the headers of HTTP."""
    try:
        return parsedate_to_datetime(time[:_LONGEST_TIME]).timestamp()
    except (TypeError, ValueError):
        return None
