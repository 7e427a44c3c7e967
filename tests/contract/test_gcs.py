"""What Google's service does and fake-gcs-server doesn't: sessions asked, forgotten, broken; tokens; proxies."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fsspec_gp_plugin.errors import AccessDenied, ConfigError, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.storage import credential_renewal
from fsspec_gp_plugin.storage.open import open_store
from tests.servers import forward_proxy, gcs_sessions
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.gcs import Gcs
    from tests.servers.gcs_sessions import Front

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"
GRAIN = 256 << 10

pytestmark = pytest.mark.usefixtures("quiet_environment")


@pytest.fixture
def store(front: Front, gcs: Gcs, tmp_path: Path) -> Iterator[Any]:
    opened: Any = open_store(
        f"{gcs.url}/gcs/{tmp_path.name}", {**gcs.options, "endpoint_url": front.endpoint}, timeout=5
    )
    opened.takes_parts = False  # as it finds out there
    yield opened
    opened.close()


def content(store: Any) -> bytes:
    info = store.stat(KEY)
    buffer = bytearray(info.size)
    assert sum(store.read(info, 0, memoryview(buffer))) == info.size
    return bytes(buffer)


@pytest.mark.parametrize("sizes", [[GRAIN, 1], [1000, 1000, 1000], [GRAIN + 7, GRAIN * 2 - 7, 5], [3 * GRAIN], [999]])
def test_parts_of_any_size_become_the_object(store: Any, front: Front, sizes: list[int]) -> None:
    parts = [os.urandom(size) for size in sizes]
    writer = store.begin(KEY)
    for number, part in enumerate(parts, 1):
        writer.write(number, memoryview(part))
    writer.complete(sum(sizes))
    assert content(store) == b"".join(parts)
    assert gcs_sessions.is_empty(front)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_part_is_sent_again_from_where_the_service_has_it(store: Any, front: Front, kept: int) -> None:
    """The answer got lost, and a part of the part, too."""
    first, second = os.urandom(2 * GRAIN), os.urandom(3 * GRAIN)
    writer = store.begin(KEY)
    writer.write(1, memoryview(first))
    (session,) = front.sessions.values()
    session.content += second[: kept * GRAIN]
    writer._unsure = True
    writer.write(2, memoryview(second))
    writer.complete(5 * GRAIN)
    assert content(store) == first + second


def test_a_service_that_has_other_bytes_than_were_sent_is_an_error(store: Any, front: Front) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(os.urandom(2 * GRAIN)))
    (session,) = front.sessions.values()
    session.content += bytes(5 * GRAIN)
    writer._unsure = True
    with pytest.raises(StorageError, match="the store has 1835008 bytes, expected"):
        writer.write(2, memoryview(os.urandom(GRAIN)))
    writer.abort()
    assert front.sessions == {}


def test_bytes_that_were_changed_are_found_at_the_end_and_the_object_is_deleted(store: Any, front: Front) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(os.urandom(2 * GRAIN)))
    (session,) = front.sessions.values()
    session.content[1000] ^= 1
    with pytest.raises(StorageError, match="another checksum; removed"):
        writer.complete(2 * GRAIN)
    with pytest.raises(NotFound):
        store.stat(KEY)


def test_a_completion_whose_answer_got_lost_is_the_same_object(store: Any) -> None:
    data = os.urandom(GRAIN + 5)
    writer = store.begin(KEY)
    writer.write(1, memoryview(data))
    assert writer.complete(len(data)) == writer.complete(len(data))
    assert content(store) == data


def test_when_the_session_is_forgotten_the_object_tells(store: Any, front: Front) -> None:
    data = os.urandom(GRAIN)
    store.put(KEY, memoryview(data))
    writer = store.begin(KEY)
    writer.write(1, memoryview(data))
    front.sessions.clear()
    assert writer.complete(GRAIN).size == GRAIN


def test_a_session_that_is_gone_fails_the_upload(store: Any, front: Front) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(os.urandom(GRAIN)))
    front.sessions.clear()
    with pytest.raises(StorageError, match="has forgotten the upload"):
        writer.write(2, memoryview(os.urandom(GRAIN)))
    writer.abort()


def test_a_small_object_carries_its_checksum(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.storage.gcs.store.crc32c", lambda _: 12345)
    with pytest.raises(StorageError):
        store.put(KEY, memoryview(b"data"))
    with pytest.raises(NotFound):
        store.stat(KEY)


def test_a_bucket_that_is_not_there_is_told(gcs: Gcs) -> None:
    store = open_store("gs://no-such-bucket/x", gcs.options)
    for act in (
        lambda: store.stat(KEY),
        lambda: store.put(KEY, memoryview(b"x")),
        lambda: store.begin(KEY).write(1, memoryview(b"x")),
        lambda: list(store.find("")),
    ):
        with pytest.raises(StorageError, match="the bucket does not exist"):
            act()
    store.close()


class _Tokens(BaseHTTPRequestHandler):
    """Gives a token for a service account's signed request, and takes requests with just that."""

    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.given += 1
        token = {"access_token": f"token-{self.server.given}", "expires_in": self.server.lifetime}
        self._answer(200, json.dumps(token).encode())

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization"))
        self._answer(200, b'{"name": "x", "size": "3", "generation": "7"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def tokens(lifetime: int) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
    server.given, server.lifetime, server.seen = 0, lifetime, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("lifetime", "given"), [(3600, 1), (200, 2)])
def test_a_service_accounts_token_is_used_and_renewed_before_it_ends(
    tmp_path: Path, lifetime: int, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_renewal, "SECONDS_BETWEEN_TRIES", 0.0)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tokens(lifetime) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        account = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "backup@p.iam.gserviceaccount.com",
            "token_uri": f"{address}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        store = open_store("gs://bucket", {"token": str(tmp_path / "account.json"), "endpoint_url": address})
        store.stat("a")
        store.stat("b")
        store.close()
        assert server.given == given
        assert server.seen == ["Bearer token-1", f"Bearer token-{given}"]


@pytest.mark.parametrize("how", ["proxy", "trust_env"])
def test_proxies_are_those_that_gcsfs_would_use(gcs: Gcs, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with forward_proxy.running(int(gcs.endpoint.rpartition(":")[2])) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        direct = open_store(f"{gcs.url}/proxied", gcs.options)
        direct.put("a", memoryview(b"data"))
        direct.close()
        assert proxy.seen == []
        session = {"proxy": proxy.url()} if how == "proxy" else {"trust_env": True}
        options = {**gcs.options, "endpoint_url": "http://gcs.example.com", "session_kwargs": session}
        store = open_store(f"{gcs.url}/proxied", options)
        assert store.stat("a").size == 4
        store.close()
        assert {seen.host for seen in proxy.seen} == {"gcs.example.com"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokne": "anon"}, "did you mean 'token'"),
        ({"token": 5}, "token must be"),
        ({"token": "browser"}, "service account"),
        ({"project": 12345}, "'project' is not text"),
        ({"endpoint_url": "localhost:4443"}, "must begin with http"),
        ({"consistency": "often"}, "consistency must be one of"),
        ({"session_kwargs": {"connector": 1}}, "trust_env or proxy"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_store("gs://bucket", options)


def test_a_token_file_that_is_broken_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    store = open_store("gs://bucket", {"token": str(tmp_path / "broken.json")})
    with pytest.raises(ConfigError, match="token gives no credentials"):
        store.stat("a")


def test_a_host_that_is_not_there_is_out_of_reach() -> None:
    store = open_store("gs://bucket", {"token": "anon", "endpoint_url": f"http://127.0.0.1:{closed_port()}"})
    with pytest.raises(Unreachable, match="can't connect"):
        store.stat("a")


def test_whoever_may_not_is_told_so() -> None:
    class Refusing(_Tokens):
        def do_GET(self) -> None:
            self._answer(
                403, b'{"error": {"code": 403, "message": "you may not", "errors": [{"reason": "forbidden"}]}}'
            )

    with tokens(0) as server:
        server.RequestHandlerClass = Refusing
        address = f"http://127.0.0.1:{server.server_address[1]}"
        store = open_store("gs://bucket", {"token": "anon", "endpoint_url": address})
        with pytest.raises(AccessDenied, match="you may not"):
            store.stat("a")
        store.close()
