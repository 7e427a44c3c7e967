"""Translates the exceptions of the providers' libraries into this package's errors, in this one place.

Classes are recognized by their names, so that no provider's package is imported for it.
"""

from __future__ import annotations

import errno
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, NotFound, PluginError, StorageError, Unreachable
from ..redaction import scrub
from .errnos import ERRNO, NTSTATUS, PASSING_ERRNO
from .error_tables import (
    CLASSES,
    CODES,
    DENIED,
    FTP,
    MAY_PASS,
    NO_CONNECTION,
    PASS_NEVER,
    PROXY_LOGIN,
    UNTRUSTED,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# http.client gives the status of a proxy that refuses a tunnel only as text.
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})")


def translated(error: BaseException, doing: str, before: BaseException | None = None) -> PluginError:
    """Return this package's error for a library's; `doing` says what failed and on what, such as "can't write KEY".

    `before` is an error that was being handled already and did not cause this one.
    """
    if isinstance(error, PluginError):
        return error
    # In this order: a response of the store says most, the name of a class least.
    for kind in (_by_proxy, _by_code, _by_ftp, _by_ntstatus, _by_errno, _by_class, _by_passing_errno):
        for cause in causes(error, before):
            found = kind(cause, doing)
            if found is not None:
                return found
    return StorageError(f"{doing}: {type(error).__name__}: {_first_line(error)}")


def _by_proxy(cause: BaseException, doing: str) -> PluginError | None:
    """Translate the error of a proxy that refuses a tunnel."""
    refusal = _TUNNEL_FAILED.match(str(cause)) if isinstance(cause, OSError) else None
    status = refusal.group(1) if refusal else str(getattr(cause, "status", ""))
    if not refusal and type(cause).__name__ != "ClientHttpProxyError":  # aiohttp's
        return None
    if status == "407":
        return AccessDenied(f"{doing}: {PROXY_LOGIN}")
    if _may_pass(status):
        return Unreachable(f"{doing}: the proxy gets no answer from the store (HTTP status {status})")
    return AccessDenied(f"{doing}: the proxy does not lead to the store (HTTP status {status})")


def _may_pass(status: str) -> bool:
    return status in MAY_PASS or (status.startswith("5") and status not in PASS_NEVER)


def _by_code(cause: BaseException, doing: str) -> PluginError | None:
    code, status = _code_and_status(cause)
    if not code:
        return None
    kind, text = CODES.get(code, (StorageError, "the store refused it"))
    if code not in CODES and (_may_pass(status) or code.startswith(("Throttl", "RequestThrottled"))):
        kind, text = Unreachable, "the store is not available"
    found = kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
    if isinstance(found, Unreachable):
        found.http_status = status
    return found


def _by_ftp(cause: BaseException, doing: str) -> PluginError | None:
    if type(cause).__module__ != "ftplib":
        return None
    code = str(cause)[:3]
    kind, text = FTP.get(code, (StorageError, "the server refused it"))
    if code == "550":  # FTP has one code for everything that is wrong with a file
        is_denied = re.search(DENIED, str(cause))
        kind, text = (AccessDenied, "permission denied") if is_denied else (NotFound, "there is no such object")
    elif (code.startswith("4") and code not in FTP) or not code.startswith(("4", "5")):
        kind, text = Unreachable, "the server is not ready"
    return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")


def _by_ntstatus(cause: BaseException, doing: str) -> PluginError | None:
    if type(cause).__module__ != "smbprotocol.exceptions":
        return None
    number = getattr(cause, "ntstatus", None) or getattr(cause, "status", None)
    if number not in NTSTATUS:
        return None
    kind, text = NTSTATUS[number]
    return kind(f"{doing}: {text}")


def _by_errno(cause: BaseException, doing: str) -> PluginError | None:
    number = _errno(cause)
    if number in ERRNO:
        kind = AccessDenied if number in (errno.EACCES, errno.EPERM, errno.EROFS) else StorageError
        return kind(f"{doing}: {ERRNO[number]}")
    return None


def _by_passing_errno(cause: BaseException, doing: str) -> PluginError | None:
    # Last, because the class of the exception around it may say where the connection led.
    text = PASSING_ERRNO.get(_errno(cause))
    return Unreachable(f"{doing}: {text}{_detail(cause)}") if text else None


def _errno(error: BaseException) -> int:
    """Return the errno of a system error, else 0. TLS errors have numbers of another kind."""
    if not isinstance(error, OSError) or type(error).__module__ != "builtins":
        return 0
    return error.errno or 0


def _by_class(cause: BaseException, doing: str) -> PluginError | None:
    names = {name for c in type(cause).__mro__ for name in (c.__name__, f"{c.__module__}.{c.__name__}")}
    if any(type(deeper).__name__ in UNTRUSTED for deeper in causes(cause)):
        return StorageError(f"{doing}: the store's certificate is not trusted{_detail(cause)}")
    for name, kind, text in CLASSES:
        if name in names and not (name == "ClientError" and hasattr(cause, "response")):
            return kind(f"{doing}: {text}{'' if kind is NotFound else _detail(cause)}")
    return None


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Translate every Exception that is raised inside."""
    # An error that was being handled before becomes the context of one raised here, but did not cause it.
    before = sys.exc_info()[1]
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise translated(error, doing, before) from error


@contextmanager
def no_object_missing(doing: str, meaning: str) -> Iterator[None]:
    """As translating(), for requests that don't name an object: NotFound becomes a StorageError with that `meaning`."""
    try:
        with translating(doing):
            yield
    except NotFound as error:
        raise StorageError(f"{doing}: {meaning}") from error


def was_never_sent(error: BaseException) -> bool:
    """Return whether a request failed before there was a connection, so that the store can't have acted on it."""
    return any(type(cause).__name__ in NO_CONNECTION for cause in causes(error))


def error_code(error: BaseException) -> str:
    """Return the store's error code in an exception or in its causes, else the HTTP status, else ""."""
    return next(filter(None, (_code_and_status(cause)[0] for cause in causes(error))), "")


def causes(error: BaseException | None, before: BaseException | None = None) -> Iterator[BaseException]:
    """Yield an exception, then its causes and the exceptions that it holds, down to `before`."""
    seen: set[int] = set()
    while error is not None and error is not before and id(error) not in seen:
        seen.add(id(error))
        yield error
        cause = error.__cause__
        # A connection that breaks while another error is being handled, such as a missing file, was not caused by it.
        broke = isinstance(error, ConnectionError | EOFError | TimeoutError) or _errno(error) in PASSING_ERRNO
        if not (error.__suppress_context__ or broke):
            cause = cause or error.__context__
        # httpcore's errors name their cause only in their arguments.
        error = cause or next((held for held in error.args if isinstance(held, BaseException)), None)


def http_status(error: BaseException) -> str:
    """Return the HTTP status in an exception or in its causes, else ""."""
    return next(filter(None, (_code_and_status(cause)[1] for cause in causes(error))), "")


def _code_and_status(error: BaseException) -> tuple[str, str]:
    """Return the error code and the HTTP status of a store's response, each "" if there is none.

    If a response has no code, as those of a plain web server, its status is returned as the code.
    """
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        status = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        return str(response.get("Error", {}).get("Code") or status), status
    # azure's, aiohttp's, gcsfs', requests' and httpx's
    for holder, name in ((error, "status_code"), (error, "status"), (error, "code"), (response, "status_code")):
        status = str(getattr(holder, name, ""))
        if status.isdecimal() and len(status) == 3:
            code = getattr(error, "error_code", None)
            return str(getattr(code, "value", code) or status), status
    return "", ""


def _detail(error: BaseException) -> str:
    line = _first_line(error)
    return f" ({line})" if line else ""


def _first_line(error: BaseException) -> str:
    # Secrets are masked before the line is cut: half a secret would not be recognized.
    text = scrub(str(error)).strip()
    return text.splitlines()[0][:300] if text else ""
