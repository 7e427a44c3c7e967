"""The pages of a bucket's listing, and which of its objects somebody has to restore before they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import StorageError, Unreachable
from ..errors import translating
from .answers import no_object_missing, require_listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .control import Control

# Glacier's instant retrieval is not among them. Of intelligent tiering's own archives a listing doesn't tell.
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


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
    token: dict[str, str] = {}
    while True:
        asked = {"Bucket": bucket, "Prefix": prefix, **token}
        with no_object_missing(doing):
            page = control.call("list_objects_v2", **asked)
            require_listing(page)
        contents = page.get("Contents", ())
        archived = {entry["Key"] for entry in contents if entry.get("StorageClass") in _ARCHIVES}
        if archived:
            archived -= _restored(control, asked, doing)
        for entry in contents:
            written = entry.get("LastModified")
            modified = written.timestamp() if written else None
            yield Entry(entry["Key"], entry["Size"], entry.get("ETag"), modified, entry["Key"] in archived)
        if not page.get("IsTruncated"):
            return
        if page.get("NextContinuationToken") in (None, "", token.get("ContinuationToken")):
            raise StorageError(f"{doing}: the store says there is more, but not how to get it")
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _restored(control: Control, asked: dict[str, Any], doing: str) -> set[str]:
    """The keys of a page whose objects have been restored for a time. None where the store doesn't tell."""
    try:
        with translating(doing):
            page = control.call("list_objects_v2", **asked, OptionalObjectAttributes=["RestoreStatus"])
    except Unreachable:
        raise
    except StorageError:
        return set()
    return {entry["Key"] for entry in page.get("Contents", ()) if _is_restored(entry.get("RestoreStatus") or {})}


def _is_restored(status: dict[str, Any]) -> bool:
    return not status.get("IsRestoreInProgress") and status.get("RestoreExpiryDate") is not None
