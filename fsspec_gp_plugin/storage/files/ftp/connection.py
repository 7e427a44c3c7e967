"""What Python's ftplib lacks: limits of what a server may send, LIST, implicit TLS, and resumed TLS sessions."""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
from typing import TYPE_CHECKING

from ....errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Entries = list[tuple[str, int | None]]

_MOST_LINES = 10_000_000
_MOST_LINES_OF_ANSWER = 1000


class PlainFtp(ftplib.FTP):
    """FTP whose answers and listings have an end, and that has one code for a file that is not there."""

    def retrlines(self, cmd: str, callback: Callable[[str], object] | None = None) -> str:
        """As ftplib's, which switches to text for it."""
        count = 0

        def take(line: str) -> None:
            nonlocal count
            count += 1
            if count > _MOST_LINES:
                raise StorageError(f"the directory has more than {_MOST_LINES:,} entries")
            if callback:
                callback(line)

        try:
            return super().retrlines(cmd, take)
        finally:
            self.voidcmd("TYPE I")

    def getresp(self) -> str:
        """The answer to a command; code 550 for a missing file, whatever the server's."""
        try:
            return super().getresp()
        except ftplib.error_temp as error:
            # rclone's server says 450, which others say while a file is busy.
            if re.match("(?i)450.*(not found|no such|not exist)", str(error)):
                raise ftplib.error_perm(f"550{str(error)[3:]}") from None  # noqa: S321 - an error's class
            raise

    def getmultiline(self) -> str:
        """An answer of limited length."""
        lines = [self.getline()]
        end = lines[0][:3]
        while lines[0][3:4] == "-" and not (len(lines) > 1 and lines[-1][:3] == end and lines[-1][3:4] != "-"):
            if len(lines) > _MOST_LINES_OF_ANSWER:
                raise ftplib.error_reply("the answer has too many lines")  # noqa: S321 - an error's class
            lines.append(self.getline())
        return "\n".join(lines)


class FtpByTls(PlainFtp, ftplib.FTP_TLS):
    """FTP by TLS, spoken from the first byte on if it is implicit. Data connections resume the session of the control
    connection, without which many servers refuse them: neither ftplib nor fsspec does so.
    """

    def __init__(self, context: ssl.SSLContext, encoding: str, *, implicit: bool) -> None:
        """Connects to nothing yet."""
        super().__init__(context=context, encoding=encoding)
        self._implicit = implicit

    def connect(self, host: str = "", port: int = 0, timeout: float = -999, source_address: object = None) -> str:
        """Connect, by TLS at once if it is implicit."""
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
        """Log in, by TLS."""
        return super().login(user, passwd, acct, secure=secure and not self._implicit)

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Begin a transfer whose connection resumes the TLS session."""
        sock, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - the base of its base
        try:
            session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
            return self.context.wrap_socket(sock, server_hostname=self.host, session=session), size
        except BaseException:
            sock.close()
            raise


def by_facts(lines: Iterable[tuple[str, dict[str, str]]]) -> Entries:
    """What ftplib's mlsd() gives, as Ftp.entries()."""
    kinds = ((name, facts, facts.get("type", "").lower()) for name, facts in lines)
    return [
        (name, None if kind == "dir" else int(facts.get("size") or 0))
        for name, facts, kind in kinds
        if kind in ("file", "dir")
    ]


def by_ls(lines: Iterable[str]) -> Entries:
    """Lines of a listing as ls writes it, as Ftp.entries()."""
    found: Entries = []
    for words in (line.split(maxsplit=8) for line in lines):
        if len(words) == 9 and words[0][0] in "-dl" and words[8] not in (".", ".."):
            size = int(words[4]) if words[4].isdecimal() else 0
            found.append((words[8], None if words[0][0] == "d" else size))
    return found
