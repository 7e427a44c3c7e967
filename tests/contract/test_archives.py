"""What a listing tells of objects that somebody has to restore from the store's archive before they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.servers import azurite
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("quiet_environment")

DATE = "2026-01-02T03:04:05.000Z"
RESTORED = f"<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>{DATE}</RestoreExpiryDate>"
RESTORING = "<IsRestoreInProgress>true</IsRestoreInProgress>"
# For each object its storage class and, where that is asked for, what is told of its restoring.
PAGES = [
    {"a": ("STANDARD", ""), "b": ("GLACIER_IR", "")},
    {"c": ("GLACIER", RESTORED), "d": ("GLACIER", RESTORING), "e": ("GLACIER", ""), "f": ("STANDARD", "")},
    {"g": ("STANDARD_IA", "")},
    {"h": ("DEEP_ARCHIVE", "")},
]
ARCHIVED = {"d", "e", "h"}


@pytest.fixture
def server() -> Iterator[Pages]:
    with Pages() as running:
        yield running


class Listing:
    """Amazon's answers. `again`: the pages of which it was asked what is restored, which `refusal` is the status of."""

    def __init__(self, server: Pages, pages: list[dict[str, tuple[str, str]]], refusal: int = 0) -> None:
        self.again: list[str] = []
        self._pages = pages
        self._refusal = refusal
        server.answer = self._answer
        self._server = server

    def _answer(self, asked: dict[str, str]) -> tuple[int, str]:
        token = asked.get("continuation-token", "0")
        again = self._server.headers[-1].get("x-amz-optional-object-attributes") == "RestoreStatus"
        if again:
            self.again.append(token)
            if self._refusal:
                return self._refusal, "<Error><Code>NotImplemented</Code></Error>" if self._refusal < 503 else ""
        number = int(token)
        contents = "".join(
            f"<Contents><Key>target/{name}</Key><Size>1</Size><StorageClass>{kind}</StorageClass>"
            + (f"<RestoreStatus>{status}</RestoreStatus>" if status and again else "")
            + "</Contents>"
            for name, (kind, status) in self._pages[number].items()
        )
        is_last = number == len(self._pages) - 1
        more = "" if is_last else f"<NextContinuationToken>{number + 1}</NextContinuationToken>"
        truncated = f"<IsTruncated>{str(not is_last).lower()}</IsTruncated>"
        return 200, f"<ListBucketResult>{truncated}{more}{contents}</ListBucketResult>"


def s3(server: Pages) -> Any:
    options = {"endpoint_url": server.endpoint, "key": "someone", "secret": "something"}
    return open_store("s3://bucket/target", options, timeout=5)


def archived(store: Any) -> set[str]:
    return {info.key for info in store.find("") if info.archived}


def test_s3_tells_which_objects_are_in_an_archive_and_not_restored(server: Pages) -> None:
    listing = Listing(server, PAGES)
    store = s3(server)
    found = list(store.find(""))
    assert [info.key for info in found] == list("abcdefgh")
    assert {info.key for info in found if info.archived} == ARCHIVED
    # Only the pages with such an object are asked for again, and with what tells of restoring.
    assert listing.again == ["1", "3"]
    assert len(server.asked) == len(PAGES) + 2
    store.close()


def test_a_listing_of_s3_without_archives_costs_no_request_more(server: Pages) -> None:
    pages = [PAGES[0], PAGES[2]]
    listing = Listing(server, pages)
    store = s3(server)
    assert archived(store) == set()
    assert (len(server.asked), listing.again) == (2, [])
    store.close()


def test_where_a_store_does_not_tell_of_restoring_an_archive_is_one(server: Pages) -> None:
    Listing(server, PAGES, refusal=501)
    store = s3(server)
    assert archived(store) == {"c", *ARCHIVED}
    store.close()


def test_a_store_out_of_reach_is_no_refusal(server: Pages) -> None:
    Listing(server, PAGES, refusal=503)
    store = s3(server)
    with pytest.raises(Unreachable):
        archived(store)
    store.close()


def test_azure_tells_which_objects_are_in_the_archive_tier(server: Pages) -> None:
    """A blob on its way out of it is still there."""
    tiers = {
        "hot": "<AccessTier>Hot</AccessTier>",
        "cold": "<AccessTier>Cold</AccessTier>",
        "archived": "<AccessTier>Archive</AccessTier>",
        "on its way": "<AccessTier>Archive</AccessTier><ArchiveStatus>rehydrate-pending-to-hot</ArchiveStatus>",
        "untold": "",
    }
    blobs = "".join(
        f"<Blob><Name>target/{name}</Name><Properties><Content-Length>1</Content-Length>{tier}</Properties></Blob>"
        for name, tier in tiers.items()
    )
    server.answer = lambda _: (
        200,
        f'<?xml version="1.0"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>',
    )
    store = open_store("abfs://container/target", azurite.options(server.endpoint), timeout=5)
    assert archived(store) == {"archived", "on its way"}
    assert len(server.asked) == 1
    store.close()


def test_googles_archive_class_can_be_read_at_once(server: Pages) -> None:
    item = '{"name": "target/a", "size": "1", "generation": "7", "storageClass": "ARCHIVE"}'
    server.answer = lambda _: (200, f'{{"kind": "storage#objects", "items": [{item}]}}')
    store = open_store("gs://bucket/target", {"endpoint_url": server.endpoint, "token": "anon"}, timeout=5)
    assert [info.archived for info in store.find("")] == [False]
    store.close()
