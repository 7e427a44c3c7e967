"""An FTP server by fsspec's FTPFileSystem: its options, renaming and removing. Log-in, transfers and listings are
requests of our own on its connection: fsspec's check no certificate, resume no TLS session, can't go on with an upload
after a connection broke, list a directory for the size of one file, and take one that can't be listed for an empty one.
"""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fsspec.implementations.ftp import FTPFileSystem  # noqa: TID253 - this module is imported for ftp:// only

from ....errors import Unreachable
from ...error_tables import DENIED
from ...link import note_sent
from .ftplib_additions import FtpByTls, PlainFtp, by_facts, by_ls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ftplib_additions import Entries

# As in storage/http: what is sent under one time limit.
_SLICE = 1 << 20
_CONNECT_SECONDS = 10.0


class Ftp(FTPFileSystem):  # type: ignore[misc] # fsspec has no types
    """A control connection and at most one transfer. For one thread at a time, except for close().

    A transfer that was not read or sent to its end leaves the control connection in doubt, so both are closed then.
    """

    ftp: Any = None
    _data: socket.socket | None = None
    # A file that is being read, and the byte that comes next: a restore is one transfer, not one for each range.
    _reading: tuple[str, int] | None = None

    def __init__(self, context: ssl.SSLContext | None, *, implicit: bool, **options: Any) -> None:
        """Connects. Raises OSError, EOFError or ftplib.Error when that fails. `context` is that of TLS, which is spoken
        from the first byte on if it is `implicit`.
        """
        self._context, self._implicit = context, implicit
        self._made: set[str] = set()
        # The file whose size was requested last, and that size.
        self.last_size: tuple[str, int] | None = None
        self.is_closed = False
        super().__init__(**options)

    def __del__(self) -> None:
        self.close()  # or Python complains about open sockets

    def _connect(self) -> None:
        if self._context:
            self.ftp = FtpByTls(self._context, self.encoding, implicit=self._implicit)
        else:
            self.ftp = PlainFtp(encoding=self.encoding)
        ftp = self.ftp
        try:
            ftp.connect(self.host, self.port, min(_CONNECT_SECONDS, self.timeout))
            ftp.timeout = self.timeout
            ftp.sock.settimeout(self.timeout)
            ftp.login(*self.cred)
            if self._context:
                ftp.prot_p()
            ftp.voidcmd("TYPE I")
        except BaseException:
            self.close()
            raise

    def size(self, path: str) -> int:
        """Bytes of a file. Raises ftplib.error_perm where there is none."""
        with self._request() as ftp:
            size = int(ftp.sendcmd(f"SIZE {path}").split()[1])
        self.last_size = (path, size)
        return size

    def create(self, path: str) -> None:
        """Make an empty file, whatever was there."""
        with self._request():
            try:
                self._send(f"STOR {path}", memoryview(b""))
            except ftplib.error_perm:
                self._made.clear()  # other hosts may have removed its directory
                raise

    def append(self, path: str, data: memoryview, offset: int) -> None:
        """Add to a file that has `offset` bytes. When this returns, the server has confirmed the whole data."""
        with self._request():
            is_whole = self._send(f"APPE {path}", data)
        if not is_whole and self.size(path) != offset + len(data):
            raise Unreachable("the connection broke, and the server took what had come for all")

    def rename(self, source: str, target: str) -> None:
        with self._request():
            try:
                self.mv(source, target)
            except ftplib.error_perm:
                # Some servers don't replace. What else may be wrong shows again.
                try:
                    self.rm_file(target)
                except ftplib.error_perm as error:
                    if not is_missing(error):
                        raise
                self.mv(source, target)

    def remove(self, path: str) -> None:
        with self._request():
            self.rm_file(path)

    def remove_directory(self, path: str) -> None:
        with self._request():
            self._made.clear()
            self.rmdir(path)

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it. That one can't be made shows when something is written there."""
        names = path.strip("/").split("/")
        for count in range(1, len(names) + 1):
            folder = "/" + "/".join(names[:count])
            if folder not in self._made:
                with self._request() as ftp, suppress(ftplib.error_perm):
                    ftp.mkd(folder)
                self._made.add(folder)

    def entries(self, path: str) -> Entries:
        """The names in a directory, with the bytes of files and None for directories, by MLSD, or by LIST where the
        server does not know MLSD. Raises ftplib.error_perm where it can't be listed.
        """
        with self._request() as ftp:
            try:
                return by_facts(ftp.mlsd(path))
            except ftplib.error_perm as error:
                if not str(error).startswith(("500", "501", "502", "504")):
                    raise
            lines: list[str] = []
            ftp.retrlines(f"LIST -a {path}", lines.append)
            return by_ls(lines)

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        filled = 0
        while filled < len(into):
            if self._reading != (path, start + filled):
                with self._request() as ftp:
                    self._data = ftp.transfercmd(f"RETR {path}", start + filled or None)
                    self._reading = (path, start + filled)
            with self._in_transfer():
                count = self._receive(into[filled : filled + _SLICE])
                if not count:
                    raise EOFError(f"the file ended at byte {start + filled}")
            filled += count
            self._reading = (path, start + filled)
            yield count

    def close(self) -> None:
        """Close both connections at once; a transfer that is under way fails."""
        self.is_closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        data, self._data, self._reading = self._data, None, None
        for sock in (data, self.ftp and self.ftp.sock):
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's, which forgets its keys
        if data is not None:
            data.close()
        if self.ftp is not None:
            with suppress(OSError, EOFError):
                self.ftp.close()

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """The control connection while no transfer is under way on it."""
        if self._reading is not None:
            # Its end would have to be waited for, and some servers lose count of what they answer.
            self._disconnect()
            self._connect()
        with self._in_transfer():
            yield self.ftp

    @contextmanager
    def _in_transfer(self) -> Iterator[None]:
        try:
            if self.is_closed:
                raise EOFError("the connection is closed")
            yield
        except ftplib.error_perm:
            raise  # an answer, after which the connection is good
        except BaseException:
            self.close()
            raise

    def _send(self, command: str, data: memoryview) -> bool:
        """Transfer data; the server has confirmed the whole when this returns. False where the data connection was
        reset all the same: many servers take the data that arrived before that for all.
        """
        self._data = sock = self.ftp.transfercmd(command)
        for at in range(0, len(data), _SLICE):
            sock.sendall(data[at : at + _SLICE])
            note_sent(min(_SLICE, len(data) - at))
        self._data = None
        with sock:
            if isinstance(sock, ssl.SSLSocket):
                with suppress(OSError):  # some servers close without a word; whether all came, they say below
                    sock.unwrap()
                sock.close()
                self.ftp.voidresp()
                return True
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            self.ftp.voidresp()
            return not _was_reset(sock)

    def _receive(self, view: memoryview) -> int:
        """What has arrived; 0 at the end of the transfer, which the server has then confirmed."""
        if self._data is None:
            raise EOFError("the transfer was ended")
        count = self._data.recv_into(view)
        if not count:
            self.ftp.voidresp()
        return count


def is_missing(error: Exception) -> bool:
    """Whether a server says that there is no such file: by the one code for whatever is wrong with a file, unless its
    text says something else.
    """
    text = str(error)
    return isinstance(error, ftplib.error_perm) and text.startswith("550") and not re.search(DENIED, text)


def _was_reset(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
