"""Multipart uploads that nobody completed or aborted: they are invisible, and cost money until they are aborted."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from ...errors import AccessDenied, NotFound, StorageError
from ..errors import error_code, translating
from ..multipart import UPLOAD_ENDED, Listed, abort_each
from .answers import no_object_missing, require_listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .control import Control

# Of 1,000 uploads each, in a bucket that others use, too.
_MOST_PAGES = 10


def uploads_below(control: Control, bucket: str, prefix: str) -> list[Listed]:
    """All unfinished uploads below a prefix."""
    uploads = list(_list_uploads(control, bucket, prefix, None))
    if not uploads:
        # MinIO takes the prefix for a whole key: it lists nothing below a directory, but everything of a bucket.
        with suppress(AccessDenied):  # for credentials that may list only below a prefix
            uploads = [one for one in _list_uploads(control, bucket, "", _MOST_PAGES) if one.key.startswith(prefix)]
    return uploads


def abort_below(control: Control, bucket: str, prefix: str) -> int:
    """Abort all unfinished uploads below a prefix; returns how many there were."""
    return _abort(control, bucket, uploads_below(control, bucket, prefix))


def abort_of(control: Control, bucket: str, key: str) -> int:
    """Abort all unfinished uploads of one key; returns how many there were."""
    return _abort(control, bucket, [one for one in _list_uploads(control, bucket, key, None) if one.key == key])


def last_part_of(control: Control, target: dict[str, str], upload_id: str) -> float | None:
    """When the last part of an upload of that bucket and key arrived, in seconds since 1970; None if it has none.
    Raises NotFound if the upload has ended meanwhile.
    """
    times: list[float] = []
    marker = 0
    doing = f"can't list the parts of an upload of s3://{target['Bucket']}/{target['Key']}"
    while True:
        try:
            with translating(doing):
                page = control.call("list_parts", **target, UploadId=upload_id, PartNumberMarker=marker)
        except StorageError as error:
            if error_code(error) in UPLOAD_ENDED:
                raise NotFound(f"{doing}: it has ended meanwhile") from error
            raise
        times += [part["LastModified"].timestamp() for part in page.get("Parts", ()) if part.get("LastModified")]
        following = int(page.get("NextPartNumberMarker") or 0)
        if not page.get("IsTruncated") or following <= marker:
            return max(times, default=None)
        marker = following


def _abort(control: Control, bucket: str, uploads: list[Listed]) -> int:
    def abort(one: Listed) -> None:
        control.call("abort_multipart_upload", Bucket=bucket, Key=one.key, UploadId=one.upload_id)

    return abort_each(uploads, abort, f"s3://{bucket}/")


def _list_uploads(control: Control, bucket: str, prefix: str, pages: int | None) -> Iterator[Listed]:
    markers: dict[str, str] = {}
    for _ in count() if pages is None else range(pages):
        with no_object_missing(f"can't list the uploads below s3://{bucket}/{prefix}"):
            page = control.call("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
            require_listing(page)
        for upload in page.get("Uploads", ()):
            started = upload.get("Initiated")
            yield Listed(upload["Key"], upload["UploadId"], started.timestamp() if started else None)
        if not page.get("IsTruncated"):
            return
        following = {
            "KeyMarker": page.get("NextKeyMarker") or "",
            "UploadIdMarker": page.get("NextUploadIdMarker") or "",
        }
        if following == markers or not following["KeyMarker"]:
            raise StorageError(f"can't list the uploads below s3://{bucket}/{prefix}: the store says there are more")
        markers = following
