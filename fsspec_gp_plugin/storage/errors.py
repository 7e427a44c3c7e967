"""Whatever a provider's library raises becomes one of our errors, once, here at the edge.

The classes are told by name, so that no provider's package is imported for it.
"""

from __future__ import annotations

import errno
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, NotFound, ObjectChanged, PluginError, StorageError, Unreachable
from ..redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROXY_LOGIN = "the proxy wants other credentials; check the user and the password in its URL"
# http.client tells the status of a proxy that opens no tunnel in words only.
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})")

# Error codes of S3 and what speaks like it → our error and what to look at.
_S3_CODES: dict[str, tuple[type[StorageError], str]] = {
    "NoSuchKey": (NotFound, "there is no such object"),
    "404": (NotFound, "there is no such object"),
    "NotFound": (NotFound, "there is no such object"),
    "NoSuchBucket": (StorageError, "the bucket does not exist; create it or correct `url`"),
    "InvalidBucketName": (StorageError, "the bucket's name is not valid; correct `url`"),
    "AccessDenied": (AccessDenied, "access denied; the credentials don't allow this request"),
    "403": (AccessDenied, "access denied; check the credentials in storage_options and the bucket's policy"),
    "401": (AccessDenied, "access denied; check the credentials in storage_options"),
    "407": (AccessDenied, _PROXY_LOGIN),
    "InvalidAccessKeyId": (AccessDenied, "the access key is not known there; check `key` in storage_options"),
    "SignatureDoesNotMatch": (AccessDenied, "the secret key does not match; check `secret` in storage_options"),
    "ExpiredToken": (AccessDenied, "the session token has expired; renew the credentials"),
    "InvalidToken": (AccessDenied, "the session token is not valid; renew the credentials"),
    "InvalidTokenId": (AccessDenied, "the session token is not valid; renew the credentials"),  # MinIO's word for it
    "RequestTimeTooSkewed": (StorageError, "this host's clock differs from the store's; set the clock"),
    "PermanentRedirect": (StorageError, "the bucket is in another region; set region_name in client_kwargs"),
    "AuthorizationHeaderMalformed": (StorageError, "the region is wrong; set region_name in client_kwargs"),
    "412": (ObjectChanged, "the object was replaced while it was being read"),
    "PreconditionFailed": (ObjectChanged, "the object was replaced while it was being read"),
    "SlowDown": (Unreachable, "the store asks to slow down"),
    "ServiceUnavailable": (Unreachable, "the store is not available"),
    "503": (Unreachable, "the store is not available"),
    "500": (Unreachable, "the store had an internal error"),
    "502": (Unreachable, "the gateway before the store got no answer"),
    "504": (Unreachable, "the gateway before the store got no answer in time"),
    "429": (Unreachable, "the store asks to slow down"),
    "Throttling": (Unreachable, "the store asks to slow down"),
    "RequestLimitExceeded": (Unreachable, "the store asks to slow down"),
    "RequestTimeout": (Unreachable, "the store waited too long for data"),
    "InternalError": (Unreachable, "the store had an internal error"),
    "OperationAborted": (Unreachable, "another request on the same object is under way"),
    "BadDigest": (Unreachable, "the bytes were changed on their way"),
    "IncompleteBody": (Unreachable, "not all bytes arrived"),
    "XAmzContentChecksumMismatch": (Unreachable, "the bytes were changed on their way"),
    "XAmzContentSHA256Mismatch": (Unreachable, "the bytes were changed on their way"),
    "XMinioStorageFull": (StorageError, "the store is full"),
    "EntityTooLarge": (StorageError, "the store refuses an object of this size"),
}

# Trying again does not help against these.
_UNTRUSTED = {"SSLCertVerificationError", "CertificateError", "ClientConnectorCertificateError"}

# No connection was made. Not botocore's EndpointConnectionError, which it makes of one that broke, too.
_NO_CONNECTION = {
    "CannotConnectError", "ClientConnectorError", "ClientConnectorDNSError", "ConnectTimeoutError", "gaierror",
}  # fmt: skip

# Whatever the code, another attempt may do better: all of 5xx but these, and these of 4xx.
_PASS_NEVER = {"501", "505", "507"}
_MAY_PASS = {"408", "425", "429", "499"}

# Names of exception classes, anywhere in the inheritance, checked in this order.
_CLASSES: tuple[tuple[str, type[StorageError], str], ...] = (
    ("NoCredentialsError", AccessDenied, "no credentials found; put them in storage_options or the environment"),
    ("PartialCredentialsError", AccessDenied, "the credentials are incomplete; give both key and secret"),
    ("ProfileNotFound", AccessDenied, "the profile is not in the credentials file of this host"),
    ("SSLError", Unreachable, "the TLS connection failed"),
    ("CannotConnectError", Unreachable, "can't connect; check endpoint, network and firewall"),  # our own
    ("ProxyConnectionError", Unreachable, "can't connect to the proxy; check its address and the firewall"),
    ("HTTPException", Unreachable, "the connection failed"),  # http.client's
    ("ConnectTimeoutError", Unreachable, "the host does not answer; check endpoint, network and firewall"),
    ("ReadTimeoutError", Unreachable, "the store stopped answering"),
    ("EndpointConnectionError", Unreachable, "can't connect; check endpoint, network and firewall"),
    ("ConnectionClosedError", Unreachable, "the store closed the connection"),
    ("HTTPClientError", Unreachable, "the connection failed"),
    ("ClientError", Unreachable, "the connection failed"),  # aiohttp's; botocore's has codes, see above
    ("NotImplementedError", StorageError, "this filesystem can't do that, so it can't hold backups"),
    ("FSTimeoutError", Unreachable, "the store did not answer in time"),
    ("TimeoutError", Unreachable, "the store did not answer in time"),
    ("FileNotFoundError", NotFound, "there is no such object"),
    ("PermissionError", AccessDenied, "permission denied"),
    ("ConnectionError", Unreachable, "the connection failed"),
    ("gaierror", Unreachable, "the host's name can't be resolved; check the URL or endpoint"),
    ("EOFError", Unreachable, "the connection ended early"),
)

_ERRNO = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EISDIR: "there is a directory of that name",
    errno.EIO: "the disk reports an input/output error",
    errno.ESTALE: "the network file system's handle is stale",
}


def translated(error: BaseException, doing: str, before: BaseException | None = None) -> PluginError:
    """Our error for a provider's; `doing` says what was tried and on what, such as "can't write KEY".

    `before` is an error that was being handled already and is no cause of this one.
    """
    if isinstance(error, PluginError):
        return error
    # In this order: an answer of the store says most, the name of a class least.
    for kind in (_by_proxy, _by_code, _by_errno, _by_class):
        for cause in _chain(error, before):
            found = kind(cause, doing)
            if found is not None:
                return found
    return StorageError(f"{doing}: {type(error).__name__}: {_first_line(error)}")


def _by_proxy(cause: BaseException, doing: str) -> PluginError | None:
    """A proxy that opens no tunnel."""
    told = _TUNNEL_FAILED.match(str(cause)) if isinstance(cause, OSError) else None
    status = told.group(1) if told else str(getattr(cause, "status", ""))
    if not told and type(cause).__name__ != "ClientHttpProxyError":  # aiohttp's
        return None
    if status == "407":
        return AccessDenied(f"{doing}: {_PROXY_LOGIN}")
    if _may_pass(status):
        return Unreachable(f"{doing}: the proxy gets no answer from the store (HTTP status {status})")
    return AccessDenied(f"{doing}: the proxy does not lead to the store (HTTP status {status})")


def _may_pass(status: str) -> bool:
    return status in _MAY_PASS or (status.startswith("5") and status not in _PASS_NEVER)


def _by_code(cause: BaseException, doing: str) -> PluginError | None:
    code = _s3_code(cause)
    if code in _S3_CODES:
        kind, text = _S3_CODES[code]
        return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
    if code and (_may_pass(_http_status(cause)) or code.startswith(("Throttl", "RequestThrottled"))):
        return Unreachable(f"{doing}: the store is not available{_detail(cause)}")
    return StorageError(f"{doing}: the store refused it{_detail(cause)}") if code else None


def _by_errno(cause: BaseException, doing: str) -> PluginError | None:
    number = getattr(cause, "errno", None)
    # Only the system's own: TLS errors have numbers of another kind.
    if isinstance(cause, OSError) and type(cause).__module__ == "builtins" and number in _ERRNO:
        kind = AccessDenied if number in (errno.EACCES, errno.EPERM, errno.EROFS) else StorageError
        return kind(f"{doing}: {_ERRNO[number]}")
    return None


def _by_class(cause: BaseException, doing: str) -> PluginError | None:
    names = {c.__name__ for c in type(cause).__mro__}
    if any(type(deeper).__name__ in _UNTRUSTED for deeper in _chain(cause)):
        return StorageError(f"{doing}: the store's certificate is not trusted{_detail(cause)}")
    for name, kind, text in _CLASSES:
        if name in names and not (name == "ClientError" and hasattr(cause, "response")):
            return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
    return None


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Within it, every Exception leaves as one of our errors."""
    # What was being handled before says nothing of what happens here, though it becomes its context.
    before = sys.exc_info()[1]
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise translated(error, doing, before) from error


def was_never_sent(error: BaseException) -> bool:
    """Whether a request failed because there was no connection: then the store can't have done what was asked."""
    return any(type(cause).__name__ in _NO_CONNECTION for cause in _chain(error))


def s3_code(error: BaseException) -> str:
    """The S3 error code in an exception or in what caused it, or ""."""
    return next(filter(None, map(_s3_code, _chain(error))), "")


def _chain(error: BaseException | None, before: BaseException | None = None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and error is not before and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def http_status(error: BaseException) -> str:
    """The status of the answer in an exception or in what caused it, or ""."""
    return next(filter(None, map(_http_status, _chain(error))), "")


def _s3_code(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        # Without a code, as a web server answers that is no S3 service, the status of the answer.
        return str(response.get("Error", {}).get("Code") or _http_status(error))
    return ""


def _http_status(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    return str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")) if isinstance(response, dict) else ""


def _detail(error: BaseException) -> str:
    line = _first_line(error)
    return f" ({line})" if line else ""


def _first_line(error: BaseException) -> str:
    # Before it is cut: half a secret would not be recognised.
    text = scrub(str(error)).strip()
    return text.splitlines()[0][:300] if text else ""
