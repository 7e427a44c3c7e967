"""One SMB session whose waits all have an end.

smbprotocol waits for answers for ever, and keeps connections for the whole process. Here each call has a time, at whose
end its connection is shut down, and the connection belongs to one store.
"""

from __future__ import annotations

import socket
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...http.routes import CannotConnectError
from ...http.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class SmbTarget:
    """Where to log in; None for user and password: as Kerberos knows this process."""

    host: str
    port: int = 445
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    encrypt: bool | None = None
    timeout: float = 60.0


class SmbSession:
    """A connection that is logged in, made again after it broke. For one thread at a time, except for close()."""

    def __init__(self, target: SmbTarget) -> None:
        """Connects with the first call."""
        self._target = target
        self.host = target.host
        # smbclient's own idea of the connections that there are, for this session alone.
        self._cache: dict[str, Any] = {}

    def __del__(self) -> None:
        # The server would keep the files open that nobody ended.
        self.close()

    @contextmanager
    def call(self) -> Iterator[dict[str, Any]]:
        """Within it, smbclient may be called with these arguments, for requests of a megabyte at the most.

        After an error that is no answer of the server the connection is given up.
        """
        from smbprotocol.exceptions import SMBOSError, SMBResponseException

        target = self._target
        try:
            sock = self._connected()
            WATCHDOG.add(sock, time.monotonic() + target.timeout)
            try:
                yield {
                    "username": target.user,
                    "password": target.password,
                    "port": target.port,
                    "encrypt": target.encrypt,
                    "connection_timeout": target.timeout,
                    "connection_cache": self._cache,
                }
            finally:
                WATCHDOG.discard(sock)
        except (SMBOSError, SMBResponseException):
            raise
        except OSError as error:
            # The library closes a socket under its own hands, and trips over what is left of it.
            self.close()
            if isinstance(error, (ConnectionError, TimeoutError)):
                raise
            raise ConnectionError(f"the connection broke: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Shut the connection down; may be called from any thread, and what is under way then fails."""
        for connection in self._taken():
            with suppress(OSError):
                _socket(connection).shutdown(socket.SHUT_RDWR)
            with suppress(Exception):
                connection.disconnect(close=False)

    def _taken(self) -> list[Any]:
        connections = list(self._cache.values())
        self._cache.clear()
        return connections

    def _connected(self) -> socket.socket:
        """The socket of a connection on which the user is logged in."""
        from smbprotocol.connection import Connection
        from smbprotocol.session import Session

        target = self._target
        key = f"{target.host.lower()}:{target.port}"
        connection = self._cache.get(key)
        if connection is not None and connection.transport.connected:
            return _socket(connection)
        self.close()
        # Each a client of its own: a server takes those of one client for channels of one session, and Samba gives them
        # all to one process, which answers some of many that connect at once never.
        connection = Connection(uuid.uuid4(), target.host, target.port)
        try:
            try:
                connection.connect(timeout=min(10, max(1, int(target.timeout))))
            except ValueError as error:  # its word for a connection that was not made
                raise CannotConnectError(str(error)) from error
            sock = _socket(connection)
            WATCHDOG.add(sock, time.monotonic() + target.timeout)
            try:
                Session(connection, target.user, target.password, require_encryption=target.encrypt is True).connect()
            finally:
                WATCHDOG.discard(sock)
        except BaseException:
            with suppress(Exception):
                connection.disconnect(close=False)
            raise
        self._cache[key] = connection
        return sock


def _socket(connection: Any) -> socket.socket:
    found: socket.socket = connection.transport._sock  # noqa: SLF001 - there is no other way to bound a wait
    return found
