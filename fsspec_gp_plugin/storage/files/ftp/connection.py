"""One FTP connection: log-in, TLS on both of its connections, transfers by blocking sockets.

A transfer that was not read or sent to its end leaves the control connection in doubt, so it is closed with it.
"""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from ....errors import StorageError
from ...progress import note_sent

# As in storage/http: sent under one limit of time.
_SLICE = 1 << 20
_MOST_LINES = 10_000_000
_MOST_LINES_OF_AN_ANSWER = 1000


@dataclass(frozen=True)
class FtpTarget:
    """Where to log in. `context` is that of TLS, None without; `implicit`: TLS from the first byte on."""

    host: str
    port: int = 21
    user: str = ""
    password: str = field(default="", repr=False)
    account: str = field(default="", repr=False)
    encoding: str = "utf-8"
    timeout: float = 60.0
    context: ssl.SSLContext | None = None
    implicit: bool = False


class FtpConnection:
    """A control connection that is logged in, in binary mode, and at most one transfer."""

    def __init__(self, target: FtpTarget) -> None:
        """Connects; OSError, EOFError or ftplib.Error when that fails."""
        self._target = target
        self._data: socket.socket | None = None
        self._ftp: ftplib.FTP = _Tls(target) if target.context else _Plain(encoding=target.encoding)
        try:
            self._ftp.connect(target.host, target.port, min(10.0, target.timeout))
            self._ftp.timeout = target.timeout
            self._control.settimeout(target.timeout)
            self._ftp.login(target.user, target.password, target.account)
            if isinstance(self._ftp, _Tls):
                self._ftp.prot_p()
            self._ftp.voidcmd("TYPE I")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close both connections at once; may be called from any thread, and a transfer under way then fails."""
        data, self._data = self._data, None
        for sock in (data, self._ftp.sock):
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's, which forgets its keys
        if data is not None:
            data.close()
        with suppress(OSError, EOFError):
            self._ftp.close()

    def quit(self) -> None:
        """Say good-bye."""
        with suppress(OSError, EOFError, ftplib.Error):
            self._control.settimeout(2)
            self._ftp.quit()
        self.close()

    def command(self, text: str) -> str:
        """Send a command; its answer, which is one of success, else ftplib.Error."""
        return self._ftp.voidcmd(text)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name."""
        self._ftp.rename(source, target)

    def size(self, path: str) -> int:
        """Bytes of a file; ftplib.error_perm where there is none."""
        return int(self._ftp.sendcmd(f"SIZE {path}").split()[1])

    def lines(self, command: str) -> list[str]:
        """The lines of a listing, of which there may be ten million."""
        found: list[str] = []

        def take(line: str) -> None:
            if len(found) >= _MOST_LINES:
                raise StorageError(f"the directory has more than {_MOST_LINES:,} entries")
            found.append(line)

        try:
            self._ftp.retrlines(command, take)
        finally:
            self._ftp.voidcmd("TYPE I")  # a listing switches to text
        return found

    def send(self, command: str, data: memoryview) -> bool:
        """Transfer data by STOR or APPE: whole when this returns, as the server has said so. False where the transfer's
        connection was reset all the same: many servers take what had come until then for all.
        """
        self._data = sock = self._ftp.transfercmd(command)
        sock.settimeout(self._target.timeout)
        for at in range(0, len(data), _SLICE):
            sock.sendall(data[at : at + _SLICE])
            note_sent(min(_SLICE, len(data) - at))
        self._data = None
        with sock:
            if isinstance(sock, ssl.SSLSocket):
                with suppress(OSError):  # some servers close without a word; whether all came, they say below
                    sock.unwrap()
                sock.close()
                self._ftp.voidresp()
                return True
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            self._ftp.voidresp()
            return not _was_reset(sock)

    def retrieve(self, path: str, start: int) -> None:
        """Begin to read a file at a byte."""
        self._data = self._ftp.transfercmd(f"RETR {path}", start or None)
        self._data.settimeout(self._target.timeout)

    def receive(self, view: memoryview) -> int:
        """What has arrived of what retrieve() began; 0 at its end, which the server has then confirmed."""
        if self._data is None:
            raise EOFError("the transfer was ended")
        count = self._data.recv_into(view)
        if not count:
            self._data.close()
            self._data = None
            self._ftp.voidresp()
        return count

    @property
    def _control(self) -> socket.socket:
        if self._ftp.sock is None:
            raise EOFError("the connection is closed")
        return self._ftp.sock


def _was_reset(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


class _Plain(ftplib.FTP):
    """FTP whose answers have an end, and that has one word for a file that is not there."""

    def getresp(self) -> str:
        try:
            return super().getresp()
        except ftplib.error_temp as error:
            # rclone's server says 450, which others say while a file is busy.
            if re.match("(?i)450.*(not found|no such|not exist)", str(error)):
                raise ftplib.error_perm(f"550{str(error)[3:]}") from None  # noqa: S321 - an error's class
            raise

    def getmultiline(self) -> str:
        lines = [self.getline()]
        end = lines[0][:3]
        while lines[0][3:4] == "-" and not (len(lines) > 1 and lines[-1][:3] == end and lines[-1][3:4] != "-"):
            if len(lines) > _MOST_LINES_OF_AN_ANSWER:
                raise ftplib.error_reply("the answer has too many lines")  # noqa: S321 - an error's class
            lines.append(self.getline())
        return "\n".join(lines)


class _Tls(_Plain, ftplib.FTP_TLS):
    """FTP with TLS that checks the server, from the first byte on where it is implicit, and that resumes its session.

    Many servers take a data connection only from who shows the control connection's session.
    """

    def __init__(self, target: FtpTarget) -> None:
        super().__init__(context=target.context, encoding=target.encoding)
        self._implicit = target.implicit

    def connect(self, host: str = "", port: int = 0, timeout: float = -999, source_address: object = None) -> str:
        del source_address
        if not self._implicit:
            return super().connect(host, port, timeout)
        self.host, self.port, self.timeout = host, port, timeout
        plain = socket.create_connection((host, port), timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self.af = plain.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = True) -> str:
        return super().login(user, passwd, acct, secure=secure and not self._implicit)

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        sock, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - the base of its base
        try:
            session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
            return self.context.wrap_socket(sock, server_hostname=self.host, session=session), size
        except BaseException:
            sock.close()
            raise
