"""FTP, plain or by TLS: a part is a transfer of its own, which counts when the server has confirmed it.

After a connection broke the file's size tells what has arrived.
"""

from __future__ import annotations

import ftplib
import re
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ....errors import AccessDenied, ConfigError, StorageError, Unreachable
from ...contract import Way
from ...error_tables import DENIED
from ..tree import TreeDialect, host_and_port, require_kind, require_known
from .client import Ftp
from .connection import FtpTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..output import Output

# A server may still be writing what it got before the connection broke.
_SETTLE_SECONDS = 0.5
_LOOKS = 5
# fsspec's words for TLS from the first byte on.
_IMPLICIT = ("tls", "sslv23", "tlsv1_2")


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> FtpDialect:
    """The dialect for a URL; ConfigError where it and the options can't work. Does not connect."""
    from fsspec.implementations.ftp import FTPFileSystem

    require_known("ftp", options, FTPFileSystem, "tls_verify")
    for name in ("host", "username", "password", "acct", "encoding", "tempdir"):
        require_kind("ftp", options, name, str)
    require_kind("ftp", options, "timeout", int, float)
    require_kind("ftp", options, "tls", bool, str)
    require_kind("ftp", options, "tls_verify", bool, str)
    given = {**FTPFileSystem._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    host, port = host_and_port("ftp", given, 21)
    tls = given.get("tls", False)
    if isinstance(tls, str) and tls not in _IMPLICIT:
        raise ConfigError(f"storage_options: tls of ftp:// must be true, false or one of {', '.join(_IMPLICIT)}")
    return FtpDialect(
        FtpTarget(
            host,
            port,
            given.get("username") or "",
            given.get("password") or "",
            given.get("acct") or "",
            given.get("encoding", "utf-8"),
            float(given.get("timeout") or timeout),
            _context(given.get("tls_verify", True)) if tls else None,
            isinstance(tls, str),
        )
    )


def _context(verify: bool | str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as error:
        raise ConfigError(f"storage_options: can't read the certificates in {verify}: {error.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class FtpDialect(TreeDialect):
    """Files on an FTP server."""

    resumes = True

    def __init__(self, target: FtpTarget) -> None:
        """Connects to nothing yet."""
        super().__init__(lambda: None, target.timeout)
        self._target = target
        self.place = f"ftp://{target.host}"
        context = target.context
        self.way = Way(target.host, context is not None, context is None or context.verify_mode is not ssl.CERT_NONE)

    def connect(self) -> Ftp:
        return Ftp(self._target)

    def disconnect(self, fs: Ftp) -> None:
        fs.close()

    def make_directories(self, fs: Ftp, path: str) -> None:
        fs.make_directories(path)

    def create(self, fs: Ftp, path: str) -> Output:
        try:
            with _missing(path):
                fs.store(path, memoryview(b""))
        except FileNotFoundError:
            fs.forget_directories()
            raise
        return _Output(fs, path)

    def resume(self, fs: Ftp, path: str) -> Output:
        seen = fs.seen
        time.sleep(_SETTLE_SECONDS)
        if (path, fs.size(path)) != seen:
            raise Unreachable(f"the server is still busy with {path}")
        return _Output(fs, path)

    def size(self, fs: Ftp, path: str) -> int:
        with _missing(path):
            size = fs.size(path)
        fs.seen = (path, size)
        return size

    def rename(self, fs: Ftp, working: str, final: str) -> None:
        try:
            fs.rename(working, final)
        except ftplib.error_perm:
            # Some servers don't replace. What else may be wrong shows again.
            with suppress(FileNotFoundError), _missing(final):
                fs.delete(final)
            fs.rename(working, final)

    def read(self, fs: Ftp, path: str, start: int, into: memoryview) -> Iterator[int]:
        with _missing(path):
            yield from fs.read(path, start, into)

    def entries(self, fs: Ftp, path: str) -> list[tuple[str, int | None]]:
        folder = path.rstrip("/")
        found: list[Any] = []
        for look in range(_LOOKS):
            try:
                found = fs.entries(path)
                break
            except ftplib.error_perm as error:
                said = str(error)
            if not self._is_there(fs, folder):
                return []
            # Servers also say so of a directory that changes while they list it, or one above it. It must not count as
            # one that is not there.
            if look + 1 == _LOOKS:
                kind = AccessDenied if re.search(DENIED, said) else StorageError
                raise kind(f"{self.place}{folder} can't be listed; the server says: {said}")
            time.sleep(_SETTLE_SECONDS)
        return [(f"{folder}/{one.name}", None if one.is_directory else one.size) for one in found]

    def _is_there(self, fs: Ftp, path: str) -> bool:
        """Whether there is something that can't be listed: servers say 550 to that, and to what there is not."""
        above, _, name = path.rpartition("/")
        if not name:
            return True
        with suppress(ftplib.error_perm):
            return any(one.name == name and one.is_directory for one in fs.entries(above or "/"))
        return self._is_there(fs, above)

    def remove(self, fs: Ftp, path: str) -> None:
        with _missing(path):
            fs.delete(path)

    def remove_directory(self, fs: Ftp, path: str) -> None:
        fs.remove_directory(path)


class _Output:
    """Each part is a transfer of its own, so nothing is open between them."""

    def __init__(self, fs: Ftp, path: str) -> None:
        self._fs = fs
        self._path = path

    def write(self, data: memoryview, offset: int) -> None:
        if data and not self._fs.append(self._path, data) and self._fs.size(self._path) != offset + len(data):
            raise Unreachable("the connection broke, and the server took what had come for all")

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        self._fs.close()

    def drop(self) -> bool:
        return True  # it connects again by itself


@contextmanager
def _missing(path: str) -> Iterator[None]:
    """FTP's one code for whatever is wrong with a file becomes FileNotFoundError, unless it says something else."""
    try:
        yield
    except ftplib.error_perm as error:
        if str(error).startswith("550") and not re.search(DENIED, str(error)):
            raise FileNotFoundError(path) from error
        raise
