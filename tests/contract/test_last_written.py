"""When the last part of an upload arrived that nobody has ended: S3 and Google list them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError
from fsspec_gp_plugin.storage.contract import Upload
from fsspec_gp_plugin.storage.open import open_store
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.gcs import Gcs
    from tests.servers.gcs_parts import Front
    from tests.servers.minio import Minio

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"


def test_a_part_that_came_later_is_told(minio: Minio, tmp_path: Path) -> None:
    store: Any = open_store(f"s3://{minio.bucket}/last/{tmp_path.name}", minio.options)
    store.control.call("create_multipart_upload", **store.target(KEY))
    [empty] = store.find_uploads("")
    assert store.last_written(empty) == empty.started
    store.delete_unfinished("")
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"x" * (5 << 20)))
    time.sleep(1.1)
    writer.write(2, memoryview(b"later"))
    [upload] = store.find_uploads("")
    assert (upload.key, bool(upload.upload_id)) == (KEY, True)
    assert upload.started + 1 < store.last_written(upload) <= time.time() + 1
    writer.abort()
    with pytest.raises(NotFound, match=r"can't list the parts of an upload of s3://.*: it has ended meanwhile"):
        store.last_written(upload)
    with pytest.raises(StorageError):
        store.last_written(upload._replace(upload_id="another"))
    store.close()


def page(marker: int, following: int | None, times: dict[int, str]) -> str:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><LastModified>2026-01-02T{at}.000Z</LastModified></Part>"
        for number, at in times.items()
    )
    more = f"<NextPartNumberMarker>{following}</NextPartNumberMarker>" if following else ""
    truncated = f"<IsTruncated>{str(following is not None).lower()}</IsTruncated>"
    return f"<ListPartsResult><PartNumberMarker>{marker}</PartNumberMarker>{more}{truncated}{parts}</ListPartsResult>"


@pytest.mark.usefixtures("quiet_environment")
def test_the_last_of_all_pages_of_parts_counts() -> None:
    """Parts arrive in any order."""
    pages = {
        "0": page(0, 2, {1: "03:00:00", 2: "05:00:00"}),
        "2": page(2, 3, {3: "06:00:00"}),
        "3": page(3, None, {4: "04:00:00"}),
    }
    with Pages() as server:
        server.answer = lambda asked: (200, pages[asked.get("part-number-marker", "0")])
        store = open_store("s3://bucket", {"endpoint_url": server.endpoint, "key": "a", "secret": "b"}, timeout=5)
        found = store.last_written(Upload(KEY, 1.0, "its id"))
        assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(found)) == "2026-01-02T06:00:00"
        assert len(server.asked) == len(pages)
        server.answer = lambda _: (200, page(0, None, {}))
        assert store.last_written(Upload(KEY, 1.0, "its id")) == 1.0
        server.answer = lambda _: (403, "<Error><Code>AccessDenied</Code></Error>")
        with pytest.raises(AccessDenied):
            store.last_written(Upload(KEY, 1.0, "its id"))
        # One that gives the same page for ever.
        server.answer = lambda _: (200, pages["0"]) if len(server.asked) < 20 else (500, "")
        assert store.last_written(Upload(KEY, 1.0, "its id")) is not None
        store.close()


def test_google_lists_uploads_on_all_pages_and_they_are_aborted(gcs: Gcs, parts_front: Front, tmp_path: Path) -> None:
    front, options = parts_front, {**gcs.options, "endpoint_url": parts_front.endpoint}
    store = open_store(f"{gcs.url}/unfinished/{tmp_path.name}", options)
    front.page = 2
    names = [f"backups/20260101/2026010112000{n}/gpbackup & <{n}>" for n in range(5)]
    for name in names:
        store.begin(name).write(1, memoryview(b"x"))
    assert sorted(upload.key for upload in store.find_uploads("backups/")) == names
    assert store.find_uploads("elsewhere/") == []
    writer = store.begin(KEY)
    for number in range(1, 6):
        writer.write(number, memoryview(b"x"))
    [upload] = [one for one in store.find_uploads("backups/") if one.key == KEY]
    [held] = [one for one in front.uploads.values() if one.key.endswith(KEY)]
    held.parts[3].arrived += 100
    assert upload.started == pytest.approx(held.begun, abs=1)
    assert store.last_written(upload) == pytest.approx(held.parts[3].arrived, abs=1)
    front.denied = {"listParts"}
    with pytest.raises(AccessDenied):
        store.last_written(upload)
    assert store.delete_unfinished("backups/") == 6
    assert front.uploads == {}
    with pytest.raises(NotFound, match="it has ended meanwhile"):
        store.last_written(upload)
    store.close()
    store = open_store("gs://no-such-bucket/x", options)
    with pytest.raises(StorageError, match="the bucket does not exist"):
        store.find_uploads("")
    store.close()


def test_a_server_that_knows_no_uploads_in_parts_has_none(gcs: Gcs) -> None:
    store = open_store(gcs.url, gcs.options)
    assert store.find_uploads("") == []
    assert store.delete_unfinished("") == 0
    store.close()
