"""Checks by one cheap request that a store can be reached and accepts the credentials; else tells which step failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, Unreachable
from .error_tables import UNTRUSTED
from .errors import causes, error_code

if TYPE_CHECKING:
    from .contract import Store

_NO_NAME = {"gaierror", "ClientConnectorDNSError"}
_NO_TLS = {"SSLError", "ClientConnectorSSLError"}
# OpenSSL's reasons for a response that is not TLS, and for a server with other versions of TLS.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
# The second one is paramiko's, after all addresses of a host refused.
_REFUSED = {"ConnectionRefusedError", "NoValidConnectionsError"}
# Also returned to credentials that may write but not read.
_ONLY_NOT_ALLOWED = {"AccessDenied", "403", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions"}


def look(store: Store, key: str) -> None:
    """Request an object that does not exist, so that a refusal has a body; raises every error but NotFound."""
    try:
        store.fetch(key, memoryview(bytearray(1)))
    except NotFound:
        return


def failed_step(error: BaseException) -> str:
    """Return the step at which the store could not be reached: name, TLS, proxy, connection; "" if it was reached."""
    names = {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}
    if names & _NO_NAME:
        return "name"
    if names & (_NO_TLS | UNTRUSTED):
        return "TLS"
    if "ProxyConnectionError" in names:
        return "proxy"
    return "connection" if isinstance(error, Unreachable) else ""


def passes_hardly(error: BaseException) -> str:
    """Return, in a few words, why a retry within seconds can't help; "" if it may."""
    for cause in causes(error):
        name = type(cause).__name__
        if name == "gaierror":
            return "the host's name can't be resolved"
        if name in _REFUSED:
            return "nothing listens there"
    return "the server there does not speak TLS, so it may be one of plain HTTP" if meets_no_tls(error) else ""


def meets_no_tls(error: BaseException) -> bool:
    """Return whether the server answered TLS with something else."""
    return any(getattr(cause, "reason", None) in _NOT_TLS for cause in causes(error))


def may_still_write(error: AccessDenied) -> bool:
    """Return whether a refusal of look() means that the store knows the credentials and they only may not read."""
    return error_code(error) in _ONLY_NOT_ALLOWED
