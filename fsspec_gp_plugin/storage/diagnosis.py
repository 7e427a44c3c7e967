"""Is a store there, and does it know us? Asked in the cheapest way, and told apart as far as errors tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, Unreachable
from .error_tables import UNTRUSTED
from .errors import causes, error_code

if TYPE_CHECKING:
    from .contract import Store

_NO_NAME = {"gaierror", "ClientConnectorDNSError"}
_NO_TLS = {"SSLError", "ClientConnectorSSLError"}
# What OpenSSL makes of an answer that is not of TLS, and of a server whose versions of TLS are others.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
# Paramiko's, of all addresses of a host.
_REFUSED = {"ConnectionRefusedError", "NoValidConnectionsError"}
# Who may write, and not look for what isn't there, gets these, too.
_ONLY_NOT_ALLOWED = {"AccessDenied", "403", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions"}


def look(store: Store, key: str) -> None:
    """Ask for an object that isn't there, by a request whose refusal has words; any error but NotFound is raised."""
    try:
        store.fetch(key, memoryview(bytearray(1)))
    except NotFound:
        return


def failed_step(error: BaseException) -> str:
    """At which step of reaching a store it failed: `name`, `TLS`, `proxy`, `connection`, or "" where it was reached."""
    names = {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}
    if names & _NO_NAME:
        return "name"
    if names & (_NO_TLS | UNTRUSTED):
        return "TLS"
    if "ProxyConnectionError" in names:
        return "proxy"
    return "connection" if isinstance(error, Unreachable) else ""


def passes_hardly(error: BaseException) -> str:
    """Why trying again within seconds makes no sense to a person, in a few words; "" where it does."""
    for cause in causes(error):
        name = type(cause).__name__
        if name == "gaierror":
            return "the host's name can't be resolved"
        if name in _REFUSED:
            return "nothing listens there"
    return "what listens there speaks no TLS, as a server of plain HTTP" if meets_no_tls(error) else ""


def meets_no_tls(error: BaseException) -> bool:
    """Whether what was asked to speak TLS answered something else."""
    return any(getattr(cause, "reason", None) in _NOT_TLS for cause in causes(error))


def may_still_write(error: AccessDenied) -> bool:
    """Whether a refusal to look() says that the credentials are known there, and only don't allow that."""
    return error_code(error) in _ONLY_NOT_ALLOWED
