"""A certificate that is not trusted is no outage: it is told at once, whichever protocol meets it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.contract import ObjectInfo
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.servers import certificates, tls_front

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.ftp import Ftp
    from tests.servers.webdav import Webdav

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"

pytestmark = pytest.mark.usefixtures("quiet_environment")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HTTPS with a certificate that no host knows. Nothing is behind it: who does not trust it asks for nothing."""
    made = certificates.make(tmp_path_factory.mktemp("certificates"))
    with tls_front.running(1, made) as url:
        yield url


def place(protocol: str, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """A URL and options, which say nothing of certificates."""
    if protocol == "ftp":
        server: Ftp = request.getfixturevalue("ftp_tls")
        return server.url, {name: value for name, value in server.options.items() if name != "tls_verify"}
    front: str = request.getfixturevalue("front")
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "webdav": ("webdav://", {"base_url": front, "auth": ["somebody", "something"]}),
        "webhdfs": (f"webhdfs://{front.removeprefix('https://')}/backups", {"use_https": True, "user": "somebody"}),
        "https": (f"{front}/backups", {}),
        "gcs": ("gs://bucket/backups", {"endpoint_url": front, "token": "anon"}),
    }
    return found[protocol]


@pytest.mark.parametrize(
    ("protocol", "option"),
    [
        *((protocol, "") for protocol in ("ftp", "webdav", "webhdfs", "https", "gcs")),
        # Another authority than the server's is trusted.
        ("ftp", "tls_verify"),
        ("webdav", "verify"),
        ("webhdfs", "session_verify"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_at_once(
    request: pytest.FixtureRequest, protocol: str, option: str, tmp_path: Path
) -> None:
    url, options = place(protocol, request)
    if option:
        options[option] = str(certificates.make(tmp_path / "stranger").authority)
    repeated: list[str] = []
    policy = RetryPolicy(outage=300, retries=1, first_pause=0.01, note=repeated.append)
    store: Any = open_store(url, options, timeout=5, policy=policy)
    requests: list[Callable[[], object]] = [
        lambda: store.put(KEY, memoryview(b"data")),
        lambda: store.begin(KEY).write(1, memoryview(b"data")),
        lambda: store.stat(KEY),
        lambda: list(store.find("")),
        lambda: store.delete([KEY]),
    ]
    # Of a web server one can only read.
    for ask in requests[2:3] if protocol == "https" else requests:
        with pytest.raises(StorageError, match="the store's certificate is not trusted") as caught:
            ask()
        assert not isinstance(caught.value, Unreachable)
        assert "\n" not in str(caught.value)
    assert repeated == []
    store.close()


class _NameNode(BaseHTTPRequestHandler):
    """Sends everybody on to a data node."""

    server: Any

    def _any(self) -> None:
        self.send_response(307)
        self.send_header("Location", f"{self.server.data_node}/webhdfs/v1/file")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = _any  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def name_node(front: str) -> Iterator[str]:
    """HOST:PORT of one whose data node's certificate no host knows."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _NameNode)
    server.data_node = front
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_data_node_whose_certificate_is_not_trusted_gets_and_gives_nothing(name_node: str) -> None:
    """HDFS sends its clients from the name node to others."""
    store: Any = open_store(f"webhdfs://{name_node}/backups", {"user": "somebody"}, timeout=5)
    for ask in (
        lambda: list(store.read(ObjectInfo(KEY, 4), 0, memoryview(bytearray(4)))),
        lambda: store.put(KEY, memoryview(b"data")),
    ):
        with pytest.raises(StorageError, match="the store's certificate is not trusted") as caught:
            ask()
        assert not isinstance(caught.value, Unreachable)
    store.close()


@pytest.mark.filterwarnings("ignore:`cert=...` is deprecated")  # httpx'
def test_the_option_tells_webdav_whom_to_trust(webdav: Webdav, tmp_path: Path) -> None:
    ours, theirs = certificates.make(tmp_path / "ours"), certificates.make(tmp_path / "theirs")
    shown = [str(ours.chain), str(ours.key)]
    with tls_front.running(webdav.port, theirs, clients=ours.authority) as url:
        options = {**webdav.options, "base_url": url, "verify": str(theirs.authority)}
        store = open_store("webdav://", {**options, "cert": shown}, timeout=5)
        assert list(store.find("nothing/")) == []
        store.close()
        # The server takes only who shows a certificate, too.
        store = open_store("webdav://", options, timeout=5)
        with pytest.raises(Unreachable):
            list(store.find("nothing/"))
        store.close()
