"""Uploads in parts that nobody completed or aborted: they are invisible, and cost money for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from ...errors import NotFound, StorageError
from ..errors import error_code, http_status, translating
from ..multipart import UPLOAD_ENDED, Listed, abort_each
from .answers import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from .xml import Xml

# Of emulators that don't know these uploads, and so have none.
_UNKNOWN = ("400", "404", "405", "501")


def listed_below(xml: Xml, prefix: str, place: str) -> list[Listed]:
    """All of them whose keys begin with a prefix. `place` is where keys begin, for messages."""
    return list(_listed(xml, prefix, f"can't list the uploads below {place}{prefix}"))


def _listed(xml: Xml, prefix: str, doing: str) -> Iterator[Listed]:
    markers: dict[str, str] = {}
    while True:
        asked = urlencode({"prefix": prefix, **markers}, quote_via=quote)
        try:
            with translating(doing):
                page = xml.ask("GET", "", f"uploads&{asked}", "ListMultipartUploadsResult")
        except StorageError as error:
            if http_status(error) in _UNKNOWN and error_code(error) == http_status(error):
                return
            raise
        for upload in page.iterfind("Upload"):
            key, upload_id = upload.findtext("Key") or "", upload.findtext("UploadId") or ""
            if key.startswith(prefix):
                yield Listed(key, upload_id, seconds(upload.findtext("Initiated")))
        following = {
            "key-marker": page.findtext("NextKeyMarker") or "",
            "upload-id-marker": page.findtext("NextUploadIdMarker") or "",
        }
        if not _is_truncated(page):
            return
        if following == markers or not following["key-marker"]:
            raise StorageError(f"{doing}: the store says there are more, but not how to get them")
        markers = following


def abort(xml: Xml, key: str, upload_id: str) -> None:
    """Have an upload forgotten; a Refusal with one of UPLOAD_ENDED where it is already."""
    xml.send("DELETE", key, f"uploadId={quote(upload_id, safe='')}")


def abort_listed(xml: Xml, found: list[Listed], place: str) -> int:
    """Abort those that were listed; returns how many there were."""
    return abort_each(found, lambda one: abort(xml, one.key, one.upload_id), place)


def last_part_of(xml: Xml, key: str, upload_id: str, name: str) -> float | None:
    """When the last part of an upload arrived, in seconds since 1970; None where it has none. NotFound where somebody
    has ended it meanwhile. `name` is the object's, for messages.
    """
    times: list[float] = []
    marker = 0
    doing = f"can't list the parts of an upload of {name}"
    while True:
        asked = f"uploadId={quote(upload_id, safe='')}&part-number-marker={marker}"
        try:
            with translating(doing):
                page = xml.ask("GET", key, asked, "ListPartsResult")
        except StorageError as error:
            if error_code(error) in UPLOAD_ENDED:
                raise NotFound(f"{doing}: it has ended meanwhile") from error
            raise
        times += filter(None, (seconds(part.findtext("LastModified")) for part in page.iterfind("Part")))
        told = page.findtext("NextPartNumberMarker") or ""
        following = int(told) if told.isdecimal() else 0
        if not _is_truncated(page) or following <= marker:
            return max(times, default=None)
        marker = following


def _is_truncated(page: Element) -> bool:
    return (page.findtext("IsTruncated") or "").lower() == "true"
