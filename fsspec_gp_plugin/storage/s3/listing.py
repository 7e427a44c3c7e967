"""The pages of a bucket's listing, and which of its objects somebody has to restore before they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import StorageError, Unreachable
from ..errors import http_status, translating
from .answers import no_object_missing, require_listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .control import Control

# Glacier's instant retrieval is not among them. Of intelligent tiering's own archives a listing doesn't tell.
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_V1, _V2 = "list_objects", "list_objects_v2"
# Of stores that know the first version only.
_REFUSALS = ("400", "405", "501")


class Entry(NamedTuple):
    """What a listing tells of an object: its whole key, its size in bytes, and when it was written, in seconds since
    1970. `archived`: it can't be read.
    """

    key: str
    size: int
    etag: str | None
    modified: float | None
    archived: bool


def entries_below(control: Control, bucket: str, prefix: str) -> Iterator[Entry]:
    """All objects whose keys begin with the prefix, page after page."""
    doing = f"can't list s3://{bucket}/{prefix}"
    for request, page in _pages(control, {"Bucket": bucket, "Prefix": prefix}, doing):
        contents = page.get("Contents", ())
        archived = {entry["Key"] for entry in contents if entry.get("StorageClass") in _ARCHIVES}
        if archived:
            archived -= _restored(control, request, doing)
        for entry in contents:
            written = entry.get("LastModified")
            modified = written.timestamp() if written else None
            yield Entry(entry["Key"], entry["Size"], entry.get("ETag"), modified, entry["Key"] in archived)


class _Request(NamedTuple):
    method: str
    parameters: dict[str, Any]


def _pages(control: Control, asked: dict[str, Any], doing: str) -> Iterator[tuple[_Request, dict[str, Any]]]:
    """Each request and its page: by the second version of listings, or by the first where a store refuses that one, or
    does not go on with it.
    """
    method = _V2
    place: dict[str, str] = {}
    first = last = ""  # keys of the page before
    while True:
        request = _Request(method, {**asked, **place})
        try:
            with no_object_missing(doing):
                page = control.call(method, **request.parameters)
                require_listing(page)
        except StorageError as error:
            if method == _V1 or place or http_status(error) not in _REFUSALS:
                raise
            method = _V1
            continue
        keys = [entry["Key"] for entry in page.get("Contents", ())]
        if keys and method == _V2 and keys[0] == first:  # the same page again
            method, place = _V1, {"Marker": last}
            continue
        if keys and keys[0] <= place.get("Marker", ""):
            raise StorageError(f"{doing}: the store gives the same page again")
        yield request, page
        if not page.get("IsTruncated"):
            return
        if keys:
            first, last = keys[0], keys[-1]
        token = page.get("NextContinuationToken")
        if method == _V2 and token and token != place.get("ContinuationToken"):
            place = {"ContinuationToken": token}
            continue
        marker = page.get("NextMarker") or last
        if marker <= place.get("Marker", ""):
            raise StorageError(f"{doing}: the store says there is more, but not how to get it")
        method, place = _V1, {"Marker": marker}


def _restored(control: Control, request: _Request, doing: str) -> set[str]:
    """The keys of a page whose objects have been restored for a time. None where the store doesn't tell."""
    try:
        with translating(doing):
            page = control.call(request.method, **request.parameters, OptionalObjectAttributes=["RestoreStatus"])
    except Unreachable:
        raise
    except StorageError:
        return set()
    return {entry["Key"] for entry in page.get("Contents", ()) if _is_restored(entry.get("RestoreStatus") or {})}


def _is_restored(status: dict[str, Any]) -> bool:
    return not status.get("IsRestoreInProgress") and status.get("RestoreExpiryDate") is not None
