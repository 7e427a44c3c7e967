"""Reads the pages of the service's listings."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import ParseError, fromstring

from ..plain_xml import NotPlainError, require_plain
from .answers import ForeignAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

_LONGEST_TIME = 64


@dataclass(frozen=True)
class Entry:
    """A blob in a listing. `headers`: its metadata under their names as headers. `modified`: seconds since 1970.
    `archived`: it can't be read, also while it is being moved out of the archive tier.
    """

    name: str
    size: int
    etag: str | None
    is_directory: bool
    headers: Mapping[str, str] = field(repr=False)
    modified: float | None = None
    archived: bool = False


class ListedPage(NamedTuple):
    """A page of a listing: its blobs, the folders below the prefix if it was listed by a delimiter, and the marker of
    the next page, "" if there is none.
    """

    entries: list[Entry]
    folders: list[str]
    following: str


def parse_page(page: bytes) -> ListedPage:
    """Return what a page of a listing holds."""
    try:
        require_plain(page)
        root = fromstring(page)  # noqa: S314 - no entities, see above
    except NotPlainError as error:
        raise ForeignAnswerError(f"the listing is none of the service: {error}") from None
    except ParseError as error:
        raise ForeignAnswerError(f"the listing is not whole: {error}") from error
    if root.tag != "EnumerationResults":
        raise ForeignAnswerError("it is no listing; check account_name, account_host and the proxy")
    entries = [_entry(blob) for blob in root.iterfind("Blobs/Blob")]
    folders = [one.text or "" for one in root.iterfind("Blobs/BlobPrefix/Name")]
    return ListedPage(entries, folders, root.findtext("NextMarker") or "")


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
    """Return the seconds since 1970 of a time in HTTP's format."""
    try:
        return parsedate_to_datetime(time[:_LONGEST_TIME]).timestamp()
    except (TypeError, ValueError):
        return None
