"""Multipart uploads that nobody completed or aborted: they are invisible, and cost money for ever."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from ...errors import AccessDenied, StorageError
from ..errors import error_code, translating
from .answers import no_object_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .control import Control

# Of a bucket with the unfinished uploads of many others: 1,000 a page.
_MOST_PAGES = 10


def abort_below(control: Control, bucket: str, prefix: str) -> int:
    """Abort all of them below a prefix; returns how many there were."""
    aborted = abort_listed(control, bucket, prefix, lambda _: True)
    if not aborted:
        # MinIO takes the prefix for a whole key: below a directory it lists nothing, but all of a bucket.
        with suppress(AccessDenied):  # of whoever may list below a prefix only
            aborted = abort_listed(control, bucket, "", lambda key: key.startswith(prefix), pages=_MOST_PAGES)
    return aborted


def abort_listed(
    control: Control, bucket: str, prefix: str, wanted: Callable[[str], bool], pages: int | None = None
) -> int:
    """Abort those that the store lists for the prefix, on so many pages, and whose key is wanted; returns how many
    there were. One that can't be aborted is an error, after all were tried.
    """
    found = [(key, upload_id) for key, upload_id in _listed(control, bucket, prefix, pages) if wanted(key)]
    failed: StorageError | None = None
    for key, upload_id in found:
        try:
            with translating(f"can't abort an upload of s3://{bucket}/{key}"):
                control.call("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)
        except StorageError as error:
            # Somebody else has ended it meanwhile.
            if error_code(error) not in ("NoSuchUpload", "404"):
                failed = error
    if failed is not None:
        raise failed
    return len(found)


def _listed(control: Control, bucket: str, prefix: str, pages: int | None) -> Iterator[tuple[str, str]]:
    markers: dict[str, str] = {}
    for _ in count() if pages is None else range(pages):
        with no_object_missing(f"can't list the uploads below s3://{bucket}/{prefix}"):
            page = control.call("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
        for upload in page.get("Uploads", ()):
            yield upload["Key"], upload["UploadId"]
        if not page.get("IsTruncated"):
            return
        following = {
            "KeyMarker": page.get("NextKeyMarker") or "",
            "UploadIdMarker": page.get("NextUploadIdMarker") or "",
        }
        if following == markers or not following["KeyMarker"]:
            raise StorageError(f"can't list the uploads below s3://{bucket}/{prefix}: the store says there are more")
        markers = following
