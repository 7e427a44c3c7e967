"""Lists a bucket page by page, and says which objects must be restored from an archive before they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import StorageError, Unreachable
from ..errors import http_status, translating
from .answers import no_object_missing, require_listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .control import Control

# Glacier's instant retrieval can be read. A listing does not show the archives of intelligent tiering.
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_V1, _V2 = "list_objects", "list_objects_v2"
# Answers of stores that know only the first version.
_REFUSALS = ("400", "405", "501")


class Entry(NamedTuple):
    """An object in a listing: its whole key, its size in bytes, and when it was written, in seconds since 1970.
    `archived`: it can't be read.
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


class _PageRequest(NamedTuple):
    method: str
    parameters: dict[str, Any]


def _pages(control: Control, parameters: dict[str, Any], doing: str) -> Iterator[tuple[_PageRequest, dict[str, Any]]]:
    """Each request and its page: by version 2 of the request, or by version 1 if a store refuses version 2 or does not
    continue it.
    """
    method = _V2
    position: dict[str, str] = {}
    first = last = ""  # keys of the page before
    while True:
        request = _PageRequest(method, {**parameters, **position})
        try:
            with no_object_missing(doing):
                page = control.call(method, **request.parameters)
                require_listing(page)
        except StorageError as error:
            if method == _V1 or position or http_status(error) not in _REFUSALS:
                raise
            method = _V1
            continue
        keys = [entry["Key"] for entry in page.get("Contents", ())]
        if keys and method == _V2 and keys[0] == first:  # the same page again
            method, position = _V1, {"Marker": last}
            continue
        if keys and keys[0] <= position.get("Marker", ""):
            raise StorageError(f"{doing}: the store gives the same page again")
        yield request, page
        if not page.get("IsTruncated"):
            return
        if keys:
            first, last = keys[0], keys[-1]
        token = page.get("NextContinuationToken")
        if method == _V2 and token and token != position.get("ContinuationToken"):
            position = {"ContinuationToken": token}
            continue
        marker = page.get("NextMarker") or last
        if marker <= position.get("Marker", ""):
            raise StorageError(f"{doing}: the store says there is more, but not how to get it")
        method, position = _V1, {"Marker": marker}


def _restored(control: Control, request: _PageRequest, doing: str) -> set[str]:
    """The keys of a page whose objects have been restored for a time; empty if the store does not say it."""
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
