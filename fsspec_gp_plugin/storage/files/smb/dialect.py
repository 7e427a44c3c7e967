"""SMB: parts are written at their places in a file that stays open, so that a part may be written again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ....errors import ConfigError
from ..tree import TreeDialect, host_and_port, require_kind, require_known
from .client import Smb
from .session import SmbSession, SmbTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..output import Output

_MISSING = {0xC000000F, 0xC0000034, 0xC000003A}  # no such file, name or path


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> SmbDialect:
    """The dialect for a URL; ConfigError where it and the options can't work. Does not connect."""
    from fsspec.implementations.smb import SMBFileSystem

    require_known("smb", options, SMBFileSystem)
    for name in ("host", "username", "password", "share_access"):
        require_kind("smb", options, name, str)
    require_kind("smb", options, "timeout", int, float)
    require_kind("smb", options, "encrypt", bool)
    given = {**SMBFileSystem._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    host, port = host_and_port("smb", given, 445)
    if not given.get("path", SMBFileSystem._strip_protocol(url)).strip("/"):  # noqa: SLF001
        raise ConfigError("url must name a share: smb://HOST/SHARE/directory")
    access = given.get("share_access")
    if access and set(access) - set("rwd"):
        raise ConfigError("storage_options: share_access of smb:// must consist of the letters r, w and d")
    # As fsspec's URLs have it: DOMAIN;USER.
    user = str(given["username"]).replace(";", "\\", 1) if given.get("username") else None
    if user is None and given.get("password"):
        raise ConfigError("storage_options: password of smb:// needs username")
    target = SmbTarget(
        host, port, user, given.get("password"), given.get("encrypt"), float(given.get("timeout") or timeout)
    )
    return SmbDialect(target, access)


class SmbDialect(TreeDialect):
    """Files on an SMB share."""

    resumes = True
    positional = True
    creates = True
    directories_first = False

    def __init__(self, target: SmbTarget, share_access: str | None) -> None:
        """Connects to nothing yet."""
        super().__init__(lambda: None, target.timeout)
        self._target = target
        self._share_access = share_access
        self.place = f"smb://{target.host}"

    def connect(self) -> Smb:
        return Smb(SmbSession(self._target), self._share_access)

    def disconnect(self, fs: Smb) -> None:
        fs.close()

    def make_directories(self, fs: Smb, path: str) -> None:
        fs.make_directories(path)

    def create(self, fs: Smb, path: str) -> Output:
        with _missing(path):
            return fs.create(path)

    def resume(self, fs: Smb, path: str) -> Output:
        with _missing(path):
            return fs.open(path)

    def size(self, fs: Smb, path: str) -> int:
        with _missing(path):
            size = fs.size(path)
        if size is None:
            raise FileNotFoundError(f"{path} is not a file")
        return size

    def rename(self, fs: Smb, working: str, final: str) -> None:
        fs.rename(working, final)

    def rename_if_free(self, fs: Smb, working: str, final: str) -> None:
        fs.rename_if_free(working, final)

    def read(self, fs: Smb, path: str, start: int, into: memoryview) -> Iterator[int]:
        with _missing(path):
            yield from fs.read(path, start, into)

    def entries(self, fs: Smb, path: str) -> list[tuple[str, int | None]]:
        try:
            with _missing(path):
                found = fs.entries(path)
        except FileNotFoundError:
            return []
        return [(f"{path.rstrip('/')}/{name}", size) for name, size in found]

    def remove(self, fs: Smb, path: str) -> None:
        with _missing(path):
            fs.delete(path)

    def remove_directory(self, fs: Smb, path: str) -> None:
        fs.remove_directory(path)


@contextmanager
def _missing(path: str) -> Iterator[None]:
    """What SMB says of a file or a directory that is not there becomes FileNotFoundError."""
    from smbprotocol.exceptions import SMBOSError

    try:
        yield
    except SMBOSError as error:
        if error.ntstatus in _MISSING:
            raise FileNotFoundError(path) from error
        raise
