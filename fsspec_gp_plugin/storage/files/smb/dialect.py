"""SMB: parts are written at their places in a file that stays open, so that a part may be written again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smbprotocol.exceptions import SMBOSError

from ....errors import ConfigError
from ..tree import TreeDialect, host_and_port, require_kinds, require_known
from .client import Smb
from .session import SmbSession, SmbTarget

if TYPE_CHECKING:
    from ..output import Output

_MISSING = {0xC000000F, 0xC0000034, 0xC000003A}  # no such file, name or path


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> SmbDialect:
    """The dialect for a URL. Raises ConfigError where URL and options can't work. Does not connect."""
    from fsspec.implementations.smb import SMBFileSystem

    require_known("smb", options, SMBFileSystem)
    require_kinds("smb", options, (str,), "host", "username", "password", "share_access")
    require_kinds("smb", options, (int, float), "timeout")
    require_kinds("smb", options, (bool,), "encrypt")
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
    return SmbDialect(lambda: Smb(SmbSession(target), access), target.timeout, f"smb://{host}")


class SmbDialect(TreeDialect):
    """Files on an SMB share."""

    deletions_at_once = 4
    resumes = True
    positional = True
    creates = True
    directories_first = False

    def create(self, fs: Smb, path: str) -> Output:
        with self.missing(path):
            return fs.create(path)

    def resume(self, fs: Smb, path: str) -> Output:
        with self.missing(path):
            return fs.open(path)

    def rename_if_free(self, fs: Smb, working: str, final: str) -> None:
        fs.rename_if_free(working, final)

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, SMBOSError) and error.ntstatus in _MISSING
