"""One SMB session with a time limit for each call.

smbprotocol waits for answers for ever, and keeps connections for the whole process. Here a connection is shut down at
the time limit of a call, and belongs to one store.
"""

from __future__ import annotations

import socket
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBOSError, SMBResponseException
from smbprotocol.session import Session

from ...http.cancellation import WATCHDOG
from ...http.routes import CannotConnectError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class SmbTarget:
    """Where to log in. Without user and password, as the user whom Kerberos knows for this process."""

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
        # smbclient's table of connections, for this session alone.
        self._cache: dict[str, Any] = {}

    def __del__(self) -> None:
        # Or the server would keep files open that nobody closed.
        self.close()

    @contextmanager
    def call(self) -> Iterator[dict[str, Any]]:
        """Within it, smbclient may be called with these arguments, for requests of at most a megabyte.

        After an error that is no answer of the server the connection is closed.
        """
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
            # The library closes a socket while it uses it, and fails with an error of another kind.
            self.close()
            if isinstance(error, (ConnectionError, TimeoutError)):
                raise
            raise ConnectionError(f"the connection broke: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Shut the connection down, which may be called from any thread. Calls that are under way fail."""
        for connection in self._take_all():
            with suppress(OSError):
                _socket(connection).shutdown(socket.SHUT_RDWR)
            with suppress(Exception):
                connection.disconnect(close=False)

    def _take_all(self) -> list[Any]:
        connections = list(self._cache.values())
        self._cache.clear()
        return connections

    def _connected(self) -> socket.socket:
        """The socket of a connection on which the user is logged in."""
        target = self._target
        key = f"{target.host.lower()}:{target.port}"
        connection = self._cache.get(key)
        if connection is not None and connection.transport.connected:
            return _socket(connection)
        self.close()
        # Each connection is a client of its own: a server takes those of one client for channels of one session, and
        # Samba gives them all to one process, which never answers some of many that connect at once.
        connection = Connection(uuid.uuid4(), target.host, target.port)
        try:
            try:
                connection.connect(timeout=min(10, max(1, int(target.timeout))))
            except ValueError as error:  # raised for a connection that was not made
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
    sock: socket.socket = connection.transport._sock  # noqa: SLF001 - there is no other way to limit a wait
    return sock
