"""Whatever a provider's library raises becomes one of our errors, once, here at the edge.

The classes are told by name, so that no provider's package is imported for it.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, NotFound, ObjectChanged, PluginError, StorageError, Unreachable
from ..redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "InvalidAccessKeyId": (AccessDenied, "the access key is not known there; check `key` in storage_options"),
    "SignatureDoesNotMatch": (AccessDenied, "the secret key does not match; check `secret` in storage_options"),
    "ExpiredToken": (AccessDenied, "the session token has expired; renew the credentials"),
    "InvalidToken": (AccessDenied, "the session token is not valid; renew the credentials"),
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
    "XMinioStorageFull": (StorageError, "the store is full"),
    "EntityTooLarge": (StorageError, "the store refuses an object of this size"),
}

# Names of exception classes, anywhere in the inheritance, checked in this order.
_CLASSES: tuple[tuple[str, type[StorageError], str], ...] = (
    ("NoCredentialsError", AccessDenied, "no credentials found; put them in storage_options or the environment"),
    ("PartialCredentialsError", AccessDenied, "the credentials are incomplete; give both key and secret"),
    ("ProfileNotFound", AccessDenied, "the profile is not in the credentials file of this host"),
    ("SSLError", Unreachable, "the TLS connection failed"),
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


def translated(error: BaseException, doing: str) -> PluginError:
    """Our error for a provider's; `doing` says what was tried and on what, such as "can't write KEY"."""
    if isinstance(error, PluginError):
        return error
    for cause in _chain(error):
        code = _s3_code(cause)
        if code in _S3_CODES:
            kind, text = _S3_CODES[code]
            return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
        if code:
            return StorageError(f"{doing}: the store refused it{_detail(cause)}")
    for cause in _chain(error):
        number = getattr(cause, "errno", None)
        # Only the system's own: TLS errors have numbers of another kind.
        if isinstance(cause, OSError) and type(cause).__module__ == "builtins" and number in _ERRNO:
            kind = AccessDenied if number in (errno.EACCES, errno.EPERM, errno.EROFS) else StorageError
            return kind(f"{doing}: {_ERRNO[number]}")
    for cause in _chain(error):
        names = {c.__name__ for c in type(cause).__mro__}
        for name, kind, text in _CLASSES:
            if name in names and not (name == "ClientError" and hasattr(cause, "response")):
                return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
    return StorageError(f"{doing}: {type(error).__name__}: {_first_line(error)}")


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Within it, every Exception leaves as one of our errors."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise translated(error, doing) from error


def s3_code(error: BaseException) -> str:
    """The S3 error code in an exception or in what caused it, or ""."""
    return next(filter(None, map(_s3_code, _chain(error))), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _s3_code(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        # Without a code, as a web server answers that is no S3 service, the status of the answer.
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return str(response.get("Error", {}).get("Code") or status)
    return ""


def _detail(error: BaseException) -> str:
    line = _first_line(error)
    return f" ({line})" if line else ""


def _first_line(error: BaseException) -> str:
    # Before it is cut: half a secret would not be recognised.
    text = scrub(str(error)).strip()
    return text.splitlines()[0][:300] if text else ""
