"""FTP, plain or by TLS: a part is a transfer of its own, which counts when the server has confirmed it.

After a connection broke, the file's size shows what has arrived.
"""

from __future__ import annotations

import ftplib
import re
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....errors import AccessDenied, ConfigError, StorageError, Unreachable
from ...contract import TransportSecurity
from ...error_tables import DENIED
from ..output import AppendOutput
from ..tree import TreeDialect, host_and_port, require_kinds, require_known
from .client import Ftp, is_missing

if TYPE_CHECKING:
    from ..output import Output

# A server may still be writing what it got before the connection broke.
_SETTLE_SECONDS = 0.5
_ATTEMPTS = 5
# fsspec's words for TLS from the first byte on.
_IMPLICIT = ("tls", "sslv23", "tlsv1_2")


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> FtpDialect:
    """The dialect for a URL. Raises ConfigError where URL and options can't work. Does not connect."""
    from fsspec.implementations.ftp import FTPFileSystem

    require_known("ftp", options, FTPFileSystem, "tls_verify")
    require_kinds("ftp", options, (str,), "host", "username", "password", "acct", "encoding", "tempdir")
    require_kinds("ftp", options, (int, float), "timeout")
    require_kinds("ftp", options, (bool, str), "tls", "tls_verify")
    given = {**FTPFileSystem._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    host, port = host_and_port("ftp", given, 21)
    tls = given.get("tls", False)
    if isinstance(tls, str) and tls not in _IMPLICIT:
        raise ConfigError(f"storage_options: tls of ftp:// must be true, false or one of {', '.join(_IMPLICIT)}")
    context = _context(given.get("tls_verify", True)) if tls else None
    account = {name: given.get(name) or "" for name in ("username", "password", "acct")}
    seconds = float(given.get("timeout") or timeout)
    encoding = given.get("encoding", "utf-8")

    def make() -> Ftp:
        return Ftp(
            context, implicit=isinstance(tls, str), host=host, port=port, timeout=seconds, encoding=encoding, **account
        )

    dialect = FtpDialect(make, seconds, f"ftp://{host}")
    dialect.transport_security = TransportSecurity(
        host, context is not None, context is None or context.verify_mode is not ssl.CERT_NONE
    )
    return dialect


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

    def create(self, fs: Ftp, path: str) -> Output:
        with self.missing(path):
            fs.create(path)
        return AppendOutput(fs, path)

    def resume(self, fs: Ftp, path: str) -> Output:
        before = fs.last_size
        time.sleep(_SETTLE_SECONDS)
        if (path, fs.size(path)) != before:
            raise Unreachable(f"the server is still busy with {path}")
        return AppendOutput(fs, path)

    def entries(self, fs: Ftp, path: str) -> list[tuple[str, int | None]]:
        folder = path.rstrip("/")
        for attempt in range(_ATTEMPTS):
            try:
                return [(f"{folder}/{name}", size) for name, size in fs.entries(path)]
            except ftplib.error_perm as error:
                text = str(error)
            if not self._is_there(fs, folder):
                return []
            # Servers also answer so when the directory, or one above it, changes while they list it. It must not count
            # as missing.
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_SETTLE_SECONDS)
        kind = AccessDenied if re.search(DENIED, text) else StorageError
        raise kind(f"{self.place}{folder} can't be listed; the server says: {text}")

    def _is_there(self, fs: Ftp, path: str) -> bool:
        """Whether there is a directory that can't be listed: servers say 550 to that, and to what there is not."""
        above, _, name = path.rpartition("/")
        if not name:
            return True
        with suppress(ftplib.error_perm):
            return (name, None) in fs.entries(above or "/")
        return self._is_there(fs, above)

    def is_missing(self, error: Exception) -> bool:
        return is_missing(error)
