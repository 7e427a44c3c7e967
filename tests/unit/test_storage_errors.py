"""Provider exceptions become ours."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from google.auth.exceptions import TransportError

from fsspec_gp_plugin.errors import AccessDenied, CredentialsEnded, NotFound, ObjectChanged, StorageError, Unreachable
from fsspec_gp_plugin.redaction import register
from fsspec_gp_plugin.storage.error_translation import error_code, translated, translating
from fsspec_gp_plugin.storage.gcs.requests import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable


def s3_error(code: str) -> Exception:
    """As s3fs raises it: an OSError of some kind, caused by botocore's."""
    error = OSError(errno.EIO, "something")
    error.__cause__ = ClientError({"Error": {"Code": code, "Message": "told by the store"}}, "PutObject")
    return error


def googles() -> Exception:
    made: Any = TransportError
    error: Exception = made("no answer")
    return error


def httpxs(held: Exception) -> Exception:
    """As httpx raises it: of httpcore's, which tells what it came of by holding it."""
    error = httpx.ConnectError(str(held))
    error.__cause__ = httpcore.ConnectError(held)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (s3_error("NoSuchKey"), NotFound, "no such object"),
        (s3_error("404"), NotFound, "no such object"),
        (s3_error("NoSuchBucket"), StorageError, "the bucket does not exist"),
        (s3_error("SignatureDoesNotMatch"), AccessDenied, "check `secret`"),
        (s3_error("InvalidAccessKeyId"), AccessDenied, "check `key`"),
        (s3_error("ExpiredToken"), CredentialsEnded, "expired"),
        (s3_error("PreconditionFailed"), ObjectChanged, "replaced"),
        (s3_error("RequestTimeTooSkewed"), StorageError, "set the clock"),
        (s3_error("SlowDown"), Unreachable, "slow down"),
        (s3_error("SomethingNew"), StorageError, "the store refused it (An error occurred (SomethingNew)"),
        (NoCredentialsError(), CredentialsEnded, "no credentials"),
        (EndpointConnectionError(endpoint_url="http://h"), Unreachable, "http://h"),
        (ReadTimeoutError(endpoint_url="http://h"), Unreachable, "stopped answering"),
        (FileNotFoundError("x"), NotFound, "no such object"),
        (OSError(errno.ENOSPC, "x"), StorageError, "the disk is full"),
        (OSError(errno.EROFS, "x"), AccessDenied, "read-only"),
        (PermissionError(errno.EACCES, "x"), AccessDenied, "permission denied"),
        (socket.gaierror(-2, "x"), Unreachable, "name can't be resolved"),
        (ConnectionResetError(errno.ECONNRESET, "x"), Unreachable, "connection failed"),
        (TimeoutError(), Unreachable, "in time"),
        (OSError(errno.ENETUNREACH, "x"), Unreachable, "no route leads to the store ([Errno 101] x)"),
        (OSError(errno.EMFILE, "x"), Unreachable, "this process has too many files open"),
        (httpxs(OSError(errno.ENETUNREACH, "x")), Unreachable, "the connection failed ([Errno 101] x)"),
        (httpxs(ConnectionRefusedError(111, "refused")), Unreachable, "the connection failed (["),
        (httpxs(ssl.SSLCertVerificationError("unknown")), StorageError, "certificate is not trusted"),
        (httpx.ReadTimeout("slow"), Unreachable, "the connection failed (slow)"),
        (googles(), CredentialsEnded, "the service that gives credentials does not answer"),
        (RuntimeError("first line\nsecond line"), StorageError, "RuntimeError: first line"),
    ],
)
def test_each_is_told_in_our_words(error: Exception, kind: type[StorageError], words: str) -> None:
    told = translated(error, "can't write KEY")
    assert type(told) is kind
    assert str(told).startswith("can't write KEY: ")
    assert words in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize("before", [281, 290, 299])
@pytest.mark.parametrize("told_by", [RuntimeError, ConnectionResetError])
def test_no_part_of_a_secret_is_told_where_a_long_text_is_cut(told_by: type[Exception], before: int) -> None:
    secret = "0123456789" * 2
    register(secret)
    told = str(translated(told_by("x" * before + secret + "x" * 300), "can't write KEY"))
    assert "xxx***"[: 300 - before + 3] in told
    assert not any(digit in told for digit in secret)


def test_no_part_of_a_secret_is_told_where_a_page_that_refuses_is_cut() -> None:
    secret = "0123456789" * 2
    register(secret)
    told = str(translated(Refusal(400, "x" * 190 + secret), "can't write KEY"))
    assert not any(digit in told.replace("HTTP status 400", "") for digit in secret)


class Answered(Exception):
    """An answer in the words of aiohttp and others: by its status alone."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def botocores(status: int) -> Exception:
    """As botocore tells an answer without a code, or with one that nobody knows."""
    answer: Any = {"Error": {"Code": "SomethingNew"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = ClientError(answer, "PutObject")
    return error


def proxys(status: int) -> Exception:
    """As http.client tells of a proxy."""
    return OSError(f"Tunnel connection failed: {status} something")


REPEATED = {408, 425, 429, 499, 500, 502, 503, 504, 509, 529, 599}
ANSWERS = {400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 414, 416, 418, 422, 451, 501, 505, 507}


@pytest.mark.parametrize("status", sorted(REPEATED | ANSWERS))
@pytest.mark.parametrize("told_by", [Answered, botocores, proxys])
def test_only_statuses_that_may_pass_are_repeated(told_by: Callable[[int], Exception], status: int) -> None:
    assert isinstance(translated(told_by(status), "can't write KEY"), Unreachable) == (status in REPEATED)


def test_our_own_errors_pass_unchanged() -> None:
    error = NotFound("as it is")
    with pytest.raises(NotFound) as caught, translating("can't do it"):
        raise error
    assert caught.value is error


def test_the_code_is_found_in_the_cause() -> None:
    assert error_code(s3_error("NoSuchUpload")) == "NoSuchUpload"
    assert error_code(RuntimeError()) == ""


def test_what_was_handled_before_is_no_cause() -> None:
    """A connection that breaks while the store's answer is being handled is a connection that breaks."""
    answer: Any = Exception("refused")
    answer.response = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    try:
        raise answer
    except Exception:  # noqa: BLE001
        with pytest.raises(Unreachable), translating("can't find it"):
            socket.create_connection(("127.0.0.1", 1), timeout=1)
    with pytest.raises(StorageError, match="the store refused it"), translating("can't find it"):
        raise ConnectionResetError("reset") from answer


NUMBERS = [
    "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "ENOBUFS", "ECONNABORTED", "ECONNRESET", "ECONNREFUSED",
    "EPIPE", "ESHUTDOWN", "ETIMEDOUT", "ENOTCONN", "EADDRNOTAVAIL", "EMFILE", "ENFILE",
]  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_the_networks_errors_and_limits_that_pass_are_repeated_for_every_store(name: str) -> None:
    assert type(translated(OSError(getattr(errno, name), "x"), "can't write KEY")) is Unreachable


@pytest.mark.parametrize(
    "broken", [ConnectionResetError(), EOFError(), TimeoutError(), OSError(errno.ENETUNREACH, "x")], ids=repr
)
def test_a_connection_that_breaks_while_an_answer_is_handled_counts_and_not_the_answer(broken: Exception) -> None:
    """As when a directory is looked for because a file in it is not there."""
    broken.__context__ = s3_error("404")
    assert type(translated(broken, "can't list it")) is Unreachable
