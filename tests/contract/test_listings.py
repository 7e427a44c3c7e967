"""Listings that go over several pages are read to their end, and what is no listing is never an empty one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.servers import azurite
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("quiet_environment")

TARGETS = {
    "s3": "s3://bucket/target",
    "gcs": "gs://bucket/target",
    "azure": "abfs://container/target",
    "webdav": "webdav://target",
    "hdfs": "webhdfs://127.0.0.1/target",
}
NAMES = [f"target/backups/{number}" for number in range(5)]
# The names on each of the pages; one of them is empty, as after what was deleted.
PAGES = [NAMES[:2], NAMES[2:3], [], NAMES[3:]]
DATE = "2026-01-02T03:04:05.000Z"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Pages, dict[str, Any]]]:
    """A server and the stores at it, for all tests: s3fs takes its time to be made."""
    stores: dict[str, Any] = {}
    with Pages() as server:
        yield server, stores
        for store in stores.values():
            store.close()


@pytest.fixture
def server(running: tuple[Pages, dict[str, Any]]) -> Pages:
    running[0].asked.clear()
    running[0].deleted.clear()
    return running[0]


@pytest.fixture
def opened(running: tuple[Pages, dict[str, Any]]) -> Callable[[str], Any]:
    """Gives the store at the server of that kind."""
    server, stores = running

    def opening(kind: str) -> Any:
        endpoint, port = server.endpoint, server.server_address[1]
        options: dict[str, dict[str, Any]] = {
            "s3": {"endpoint_url": endpoint, "key": "someone", "secret": "something"},
            "gcs": {"endpoint_url": endpoint, "token": "anon"},
            "azure": azurite.options(endpoint),
            "webdav": {"base_url": endpoint},
            "hdfs": {"port": port, "user": "someone"},
        }
        if kind not in stores:
            stores[kind] = open_store(TARGETS[kind], options[kind], timeout=5)
        return stores[kind]

    return opening


def page_of(kind: str, number: int) -> str:
    """A page as the store's documentation shows it; the marker of page N is "page N"."""
    names, last = PAGES[number], number == len(PAGES) - 1
    following = "" if last else f"page {number + 1}"
    if kind == "gcs":
        items = [{"name": name, "size": "1", "generation": "7", "timeCreated": DATE} for name in names]
        page = {"kind": "storage#objects", "items": items, "nextPageToken": following}
        return json.dumps({name: value for name, value in page.items() if value})
    if kind == "azure":
        blobs = "".join(
            f"<Blob><Name>{name}</Name><Properties><Etag>x</Etag><Content-Length>1</Content-Length></Properties></Blob>"
            for name in names
        )
        page_of_azure = f"<Blobs>{blobs}</Blobs><NextMarker>{following}</NextMarker>"
        return f'<?xml version="1.0"?><EnumerationResults>{page_of_azure}</EnumerationResults>'
    truncated = f"<IsTruncated>{'false' if last else 'true'}</IsTruncated>"
    if kind == "s3 uploads":
        uploads = "".join(
            f"<Upload><Key>{name}</Key><UploadId>1</UploadId><Initiated>{DATE}</Initiated></Upload>" for name in names
        )
        markers = f"<NextKeyMarker>{following}</NextKeyMarker><NextUploadIdMarker>id {number}</NextUploadIdMarker>"
        return f"<ListMultipartUploadsResult>{truncated}{'' if last else markers}{uploads}</ListMultipartUploadsResult>"
    contents = "".join(
        f"<Contents><Key>{name}</Key><Size>1</Size><LastModified>{DATE}</LastModified></Contents>" for name in names
    )
    token = "" if last else f"<NextContinuationToken>{following}</NextContinuationToken>"
    return f"<ListBucketResult>{truncated}{token}{contents}</ListBucketResult>"


MARKERS = {"s3": "continuation-token", "s3 uploads": "key-marker", "gcs": "pageToken", "azure": "marker"}


@pytest.mark.parametrize("kind", MARKERS)
def test_a_listing_is_read_to_its_last_page(kind: str, server: Pages, opened: Callable[[str], Any]) -> None:
    def answer(asked: dict[str, str]) -> tuple[int, str]:
        number = int(asked.get(MARKERS[kind], "page 0").removeprefix("page "))
        if kind == "gcs" and "nextPageToken" not in asked["fields"].split(","):
            return 200, '{"kind": "storage#objects"}'  # Google tells nothing else
        is_right = kind != "s3 uploads" or asked.get("upload-id-marker") == (f"id {number - 1}" if number else None)
        return (200, page_of(kind, number)) if is_right else (400, "")

    server.answer = answer
    store = opened(kind.partition(" ")[0])
    found = store.find_uploads("backups/") if "uploads" in kind else store.find("backups/")
    assert [f"target/{one.key}" for one in found] == NAMES
    assert len(server.asked) == len(PAGES)
    assert all(asked["prefix"] == "target/backups/" for asked in server.asked)


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_page_that_is_refused_is_requested_again_alone(
    kind: str, server: Pages, opened: Callable[[str], Any]
) -> None:
    refused: set[str] = set()

    def answer(asked: dict[str, str]) -> tuple[int, str]:
        place = asked.get(MARKERS[kind], "page 0")
        if place not in refused:
            refused.add(place)
            return 503, ""
        return 200, page_of(kind, int(place.removeprefix("page ")))

    server.answer = answer
    store = RetryingStore(opened(kind), RetryPolicy(60, first_pause=0.001))
    assert [f"target/{one.key}" for one in store.find("backups/")] == NAMES
    assert len(server.asked) == 2 * len(PAGES)


def page_of_version_1(asked: dict[str, str]) -> str:
    """Two names that follow the marker."""
    after = [name for name in NAMES if name > asked.get("marker", "")]
    return _listed(after[:2], more=len(after) > 2)


def _listed(names: list[str], *, more: bool, token: str = "") -> str:
    contents = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{following}{contents}</ListBucketResult>"


def test_a_gateway_that_ignores_the_delimiter_hides_no_folder(server: Pages, opened: Callable[[str], Any]) -> None:
    names = ["target/a/b/1", "target/a/b/2", "target/a/x"]
    server.answer = lambda _: (200, _listed(names, more=False))
    [page] = opened("s3").list_pages("a/", shallow=True)
    assert ([info.key for info in page.objects], page.folders) == (["a/x"], ["a/b/"])


VERSION_2 = {
    "refuses it as not implemented": lambda _: (501, "<Error><Code>NotImplemented</Code></Error>"),
    "refuses its parameter": lambda _: (400, "<Error><Code>InvalidArgument</Code></Error>"),
    "answers in the first version": lambda _: (200, _listed(NAMES[:2], more=True)),
    "gives the same page for another token": lambda asked: (
        200,
        _listed(NAMES[:2], more=True, token=f"after {asked.get('continuation-token', '')}"),
    ),
}


@pytest.mark.parametrize("answer", VERSION_2.values(), ids=VERSION_2)
def test_a_store_without_the_second_version_of_listings_is_listed_by_the_first(
    answer: Callable[[dict[str, str]], tuple[int, str]], server: Pages, opened: Callable[[str], Any]
) -> None:
    """As old releases of Ceph are."""
    server.answer = lambda asked: answer(asked) if "list-type" in asked else (200, page_of_version_1(asked))
    assert [f"target/{one.key}" for one in opened("s3").find("backups/")] == NAMES
    assert len(server.asked) <= len(NAMES)


def test_what_a_store_refuses_of_both_versions_is_told_once(server: Pages, opened: Callable[[str], Any]) -> None:
    server.answer = lambda _: (200, _listed([], more=False))
    # A store that has never taken a presigned request gets each request from s3fs, too.
    assert list(opened("s3").find("backups/")) == []
    server.asked.clear()
    server.answer = lambda _: (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>")
    with pytest.raises(StorageError, match="the region is wrong"):
        list(opened("s3").find("backups/"))
    assert len(server.asked) == 2


def test_an_upload_whose_beginning_got_lost_is_ended_and_not_those_of_longer_keys(
    server: Pages, opened: Callable[[str], Any]
) -> None:
    """A prefix is all that a listing can be asked for."""
    keys = ["target/table_1638", "target/table_16384", "target/table_1638.gz"]
    uploads = "".join(f"<Upload><Key>{key}</Key><UploadId>of {key}</UploadId></Upload>" for key in keys)

    def answer(asked: dict[str, str]) -> tuple[int, str]:
        if "prefix" in asked:
            return (
                200,
                f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>",
            )
        return (204, "") if "uploadId" in asked else (500, "")  # which leaves open whether an upload was begun

    server.answer = answer
    writer = opened("s3").begin("table_1638")
    with pytest.raises(Unreachable):
        writer.write(1, memoryview(b"rows"))
    writer.abort()
    assert server.deleted == [f"/bucket/{keys[0]}"]


@pytest.mark.parametrize("kind", MARKERS)
def test_a_store_that_gives_the_same_page_for_ever_is_an_error(
    kind: str, server: Pages, opened: Callable[[str], Any]
) -> None:
    server.answer = lambda _: (200, page_of(kind, 0)) if len(server.asked) < 10 else (500, "")
    store = opened(kind.partition(" ")[0])
    with pytest.raises(StorageError):
        list(store.find_uploads("") if "uploads" in kind else store.find(""))
    assert len(server.asked) <= 3


def test_a_page_of_googles_has_a_thousand_objects_at_the_most(server: Pages, opened: Callable[[str], Any]) -> None:
    """However many the service would give: a page that is too long is an error."""
    server.answer = lambda _: (200, page_of("gcs", len(PAGES) - 1))
    assert len(list(opened("gcs").find(""))) == 2
    [asked] = server.asked
    assert asked["maxResults"] == "1000"


def test_a_page_of_googles_that_is_too_long_to_be_read_is_an_error(server: Pages, opened: Callable[[str], Any]) -> None:
    items = [{"name": "x" * 1000, "size": "1", "generation": "7"}] * 4500
    server.answer = lambda _: (200, json.dumps({"kind": "storage#objects", "items": items}))
    with pytest.raises(Unreachable, match="too long"):
        list(opened("gcs").find(""))


FOREIGN = {
    "a page": (200, "<html><body>welcome</body></html>"),
    "a page that is no XML": (200, "<!doctype html><p>Please log in<br>"),
    "XML of something else": (200, '<?xml version="1.0"?><feed/>'),
    "an object": (200, '{"login": "wanted"}'),
    "a list": (200, "[]"),
    "a word": (200, "null"),
    "nothing": (200, ""),
    "the beginning of a listing": (200, '{"kind": "storage#objects", "items": ['),
    "no file at all": (207, '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"/>'),
    "another page": (207, "<html><body>welcome</body></html>"),
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("kind", TARGETS)
def test_what_is_no_listing_is_an_error_and_not_an_empty_one(
    kind: str, answer: tuple[int, str], server: Pages, opened: Callable[[str], Any]
) -> None:
    """A portal that wants a log-in answers 200 to everything."""
    server.answer = lambda _: answer
    with pytest.raises(Unreachable):
        list(opened(kind).find("backups/"))


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(
    ("kind", "method"),
    [("s3", "find_uploads"), ("s3", "keeps_versions"), ("gcs", "keeps_versions"), ("azure", "find_uploads")],
)
def test_neither_uploads_nor_versions_are_told_by_what_is_no_listing(
    kind: str, method: str, answer: tuple[int, str], server: Pages, opened: Callable[[str], Any]
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(Unreachable):
        getattr(opened(kind), method)("")


@pytest.mark.parametrize(("kind", "right"), [("gcs", (204, "")), ("hdfs", (200, '{"boolean": true}'))])
def test_a_page_of_a_portal_is_no_proof_that_an_object_is_deleted(
    kind: str, right: tuple[int, str], server: Pages, opened: Callable[[str], Any]
) -> None:
    for body in ("<html><body>welcome</body></html>", "{}"):
        server.answer = lambda _, body=body: (200, body)  # type: ignore[misc]
        with pytest.raises(Unreachable, match="the answer is not the"):
            opened(kind).delete(["a"])
    server.answer = lambda _: right
    opened(kind).delete(["a"])


def test_a_listing_of_googles_that_has_no_objects_is_empty(server: Pages, opened: Callable[[str], Any]) -> None:
    server.answer = lambda _: (200, '{"kind": "storage#objects"}')
    assert list(opened("gcs").find("")) == []
