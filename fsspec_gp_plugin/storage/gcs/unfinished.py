"""Finds and aborts multipart uploads that nobody completed: they are invisible, and cost money for ever."""

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

# From emulators without multipart uploads.
_UNKNOWN = ("400", "404", "405", "501")


def listed_below(xml: Xml, prefix: str, place: str) -> list[Listed]:
    """Return the uploads whose keys begin with a prefix. `place`: the bucket's URL, for messages."""
    return list(_listed(xml, prefix, f"can't list the uploads below {place}{prefix}"))


def _listed(xml: Xml, prefix: str, doing: str) -> Iterator[Listed]:
    markers: dict[str, str] = {}
    while True:
        query = urlencode({"prefix": prefix, **markers}, quote_via=quote)
        try:
            with translating(doing):
                page = xml.send_for_xml("GET", "", f"uploads&{query}", "ListMultipartUploadsResult")
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
    """Abort an upload. Raises Refusal with one of UPLOAD_ENDED if it has ended already."""
    xml.send("DELETE", key, f"uploadId={quote(upload_id, safe='')}")


def abort_listed(xml: Xml, found: list[Listed], place: str) -> int:
    """Abort the listed uploads; return their number."""
    return abort_each(found, lambda one: abort(xml, one.key, one.upload_id), place)


def last_part_of(xml: Xml, key: str, upload_id: str, name: str) -> float | None:
    """Return when the last part of an upload arrived, in seconds since 1970; None if it has none. Raises NotFound if it
    has ended. `name`: the object's, for messages.
    """
    times: list[float] = []
    marker = 0
    doing = f"can't list the parts of an upload of {name}"
    while True:
        query = f"uploadId={quote(upload_id, safe='')}&part-number-marker={marker}"
        try:
            with translating(doing):
                page = xml.send_for_xml("GET", key, query, "ListPartsResult")
        except StorageError as error:
            if error_code(error) in UPLOAD_ENDED:
                raise NotFound(f"{doing}: it has ended meanwhile") from error
            raise
        times += filter(None, (seconds(part.findtext("LastModified")) for part in page.iterfind("Part")))
        next_marker = page.findtext("NextPartNumberMarker") or ""
        following = int(next_marker) if next_marker.isdecimal() else 0
        if not _is_truncated(page) or following <= marker:
            return max(times, default=None)
        marker = following


def _is_truncated(page: Element) -> bool:
    return (page.findtext("IsTruncated") or "").lower() == "true"
