"""One connection to an SFTP server, by paramiko. fsspec's SFTPFileSystem uses paramiko, too, but by default accepts any
host key, has no time limit, waits for the answer to each request, and brings no file to the server's disk.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.sftp import CMD_EXTENDED

from ...link import note_sent

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of one request; OpenSSH's own limit is larger, others' is this.
_REQUEST = 32 << 10
# Requests on their way at a time: 2 MiB, which is what a link of 100 MB/s and 20 ms holds.
_IN_FLIGHT = 64
_KEEPALIVE_SECONDS = 30
_CONNECT_SECONDS = 10.0
_UNSUPPORTED = ("unsupported", "not supported", "bad message")


@dataclass(frozen=True)
class SftpTarget:
    """Where to connect, and how. `connect` are arguments of paramiko's connect(); `timeout`: seconds."""

    host: str
    port: int
    connect: dict[str, Any] = field(repr=False)
    check_host_key: bool
    known_hosts: str | None
    timeout: float


class Sftp:
    """A connection, for one thread at a time, except for close()."""

    def __init__(self, target: SftpTarget) -> None:
        """Connects."""
        self._client = paramiko.SSHClient()
        self._reading: tuple[str, Any] | None = None
        try:
            self._load_known_hosts(target)
            policy = paramiko.RejectPolicy if target.check_host_key else paramiko.AutoAddPolicy
            self._client.set_missing_host_key_policy(policy())
            soon = min(_CONNECT_SECONDS, target.timeout)
            self._client.connect(
                target.host,
                target.port,
                timeout=soon,
                banner_timeout=target.timeout,
                auth_timeout=target.timeout,
                channel_timeout=target.timeout,
                **target.connect,
            )
            transport = self._client.get_transport()
            if transport is None:
                raise ConnectionError("the connection ended at once")
            transport.set_keepalive(_KEEPALIVE_SECONDS)
            self.files = self._client.open_sftp()
            # The time limit of each call that waits for the server.
            self.files.get_channel().settimeout(target.timeout)
        except BaseException:
            self.close()
            raise

    def _load_known_hosts(self, target: SftpTarget) -> None:
        if target.known_hosts:
            self._client.load_system_host_keys(os.path.expanduser(target.known_hosts))
            return
        for file in ("/etc/ssh/ssh_known_hosts", "~/.ssh/known_hosts"):
            with suppress(OSError):
                self._client.load_system_host_keys(os.path.expanduser(file))

    def close(self) -> None:
        with suppress(Exception):
            transport = self._client.get_transport()
            if transport is not None:
                # This comes first, so that nothing waits for an answer any more.
                transport.sock.shutdown(socket.SHUT_RDWR)
        with suppress(Exception):
            self._client.close()

    def size(self, path: str) -> int | None:
        status = self.files.stat(path)
        return int(status.st_size or 0) if stat.S_ISREG(status.st_mode or 0) else None

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        return [
            (one.filename, None if stat.S_ISDIR(one.st_mode or 0) else int(one.st_size or 0))
            for one in self.files.listdir_attr(path)
        ]

    def remove(self, path: str) -> None:
        self.files.remove(path)

    def remove_directory(self, path: str) -> None:
        self.files.rmdir(path)

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it, for this user only."""
        missing = []
        while path.rstrip("/") and not self._is_directory(path):
            missing.append(path)
            path = os.path.dirname(path.rstrip("/"))
        for directory in reversed(missing):
            try:
                self.files.mkdir(directory, 0o700)
            except OSError:
                # Made by another process at the same time, or something is in its place.
                if not self._is_directory(directory):
                    raise

    def _is_directory(self, path: str) -> bool:
        try:
            self.files.stat(path.rstrip("/") + "/.")
        except OSError as error:
            if error.errno is None:
                raise  # the connection broke
            return False
        return True

    def create(self, path: str) -> SftpOutput:
        """Make a file that only this user may read, and open it for writing."""
        file = self.files.open(path, "wb")
        file.chmod(0o600)
        return SftpOutput(file)

    def resume(self, path: str) -> SftpOutput:
        """Open a file that is there for writing anywhere in it."""
        return SftpOutput(self.files.open(path, "r+b"))

    def rename(self, source: str, target: str) -> None:
        try:
            self.files.posix_rename(source, target)
        except OSError as error:
            if not any(word in str(error).lower() for word in _UNSUPPORTED):
                raise
            with suppress(FileNotFoundError):
                self.files.remove(target)
            self.files.rename(source, target)

    def rename_if_free(self, working: str, final: str) -> None:
        """Rename by plain SFTP's own request, which replaces nothing. Raises FileExistsError if something has the name,
        for which most servers have no error of its own.
        """
        try:
            self.files.rename(working, final)
        except OSError as error:
            if not self._is_there(final):
                raise
            raise FileExistsError(final) from error

    def _is_there(self, path: str) -> bool:
        try:
            self.files.lstat(path)
        except FileNotFoundError:
            return False
        return True

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer by many requests at a time. The file stays open for the range that follows."""
        held, self._reading = self._reading, None
        if held is None or held[0] != path:
            if held is not None:
                held[1].close()
            held = (path, self.files.open(path, "rb"))
        size = held[1].stat().st_size
        if start + len(into) > size:
            raise OSError(f"the file ends at {size} bytes")
        ranges = [(start + at, min(_REQUEST, len(into) - at)) for at in range(0, len(into), _REQUEST)]
        for piece in held[1].readv(ranges, max_concurrent_prefetch_requests=_IN_FLIGHT):
            into[: len(piece)] = piece
            into = into[len(piece) :]
            yield len(piece)
        self._reading = held


class SftpOutput:
    """A file that is written to, many requests at a time."""

    def __init__(self, file: Any) -> None:
        """`file` is paramiko's."""
        self._file = file
        self._cancelled = threading.Event()

    def write(self, data: memoryview, offset: int) -> None:
        file = self._file
        file.seek(offset)
        last = max(0, len(data) - _REQUEST)
        file.set_pipelined(True)
        for at in range(0, last, 1 << 20):
            if self._cancelled.is_set():
                raise ConnectionAbortedError("aborted")
            end = min(at + (1 << 20), last)
            file.write(data[at:end])
            note_sent(end - at)
        # A request that waits for its answer also takes the answers of all before it.
        file.set_pipelined(False)
        file.write(data[last:])
        note_sent(len(data) - last)

    def close(self) -> None:
        try:
            # Bring it to the server's disk before the file gets its name. Not every server can.
            self._file.sftp._request(CMD_EXTENDED, "fsync@openssh.com", self._file.handle)  # noqa: SLF001
        except OSError as error:
            if not any(word in str(error).lower() for word in _UNSUPPORTED):
                raise
        self._file.close()

    def cancel(self) -> None:
        self._cancelled.set()

    def release(self) -> bool:
        # Answers may still be on their way, so the connection is of no use to others.
        return False
