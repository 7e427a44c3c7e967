"""Files on an SMB share, by smbclient. fsspec's SMBFileSystem uses smbclient, too, but has no time limit, shares
connections in the whole process, can't go on with an upload after a connection broke, and replaces no file by a rename.
"""

from __future__ import annotations

import time
from contextlib import suppress
from stat import S_ISDIR
from typing import TYPE_CHECKING, Any

import smbclient
from smbprotocol.exceptions import SMBOSError

from ...link import note_sent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .session import SmbSession

# Names on Windows can't have these; Linux's and macOS' clients store them in the same way.
_RESERVED = str.maketrans(dict(zip('"*:<>?\\|', "\uf020\uf021\uf022\uf024\uf023\uf025\uf026\uf027", strict=True)))
_LAST = {" ": "\uf028", ".": "\uf029"}
_PLAIN = {ord(stored): chr(plain) for plain, stored in _RESERVED.items()} | {
    ord(stored): plain for plain, stored in _LAST.items()
}
# Others may read or delete a file meanwhile: a connection that broke can leave it open for a while.
_SHARED = "rwd"
# Bytes of a request, which fails when it takes longer than the timeout.
_AT_ONCE = 1 << 20
# A deleted file keeps its name until the last connection that has it open is gone, our own broken ones among them.
_ATTEMPTS, _PAUSE = 40, 0.05
_DELETE_PENDING = 0xC0000056
_NAME_COLLISION = 0xC0000035
# Answers of servers that have no second names for files: they don't know the request, or don't allow it.
_NO_LINKS = {0xC0000002, 0xC0000003, 0xC000000D, 0xC0000010, 0xC0000022, 0xC00000BB}


class Smb:
    """For one thread at a time, except for close()."""

    def __init__(self, session: SmbSession, share_access: str | None = None) -> None:
        """`share_access`: what others may do with a file while it is written, of the letters r, w and d."""
        self._session = session
        self._share_access = share_access or _SHARED

    def create(self, path: str) -> SmbFile:
        """Make an empty file, whatever was there, and open it for writing."""
        return SmbFile(self._session, self._unc(path), "wb", self._share_access)

    def open(self, path: str) -> SmbFile:
        """Open a file that is there already, to be written at any byte."""
        return SmbFile(self._session, self._unc(path), "r+b", self._share_access)

    def size(self, path: str) -> int | None:
        with self._session.call() as arguments:
            status = smbclient.stat(self._unc(path), **arguments)
        return None if S_ISDIR(status.st_mode) else int(status.st_size)

    def rename(self, source: str, target: str) -> None:
        with self._session.call() as arguments:
            smbclient.replace(self._unc(source), self._unc(target), **arguments)

    def rename_if_free(self, source: str, target: str) -> None:
        """Give a file another name. Raises FileExistsError if something has it.

        The name is made as a second one first, where the server has such: Samba checks whether a name is free before it
        renames, not while it renames.
        """
        ends = self._unc(source), self._unc(target)
        try:
            try:
                with self._session.call() as arguments:
                    smbclient.link(*ends, **arguments)
            except SMBOSError as error:
                if error.ntstatus not in _NO_LINKS:
                    raise
                with self._session.call() as arguments:
                    smbclient.rename(*ends, **arguments)
                return
        except SMBOSError as error:
            if error.ntstatus == _NAME_COLLISION:
                raise FileExistsError(target) from error
            raise
        self.remove(source)

    def remove(self, path: str) -> None:
        """Remove a file and wait a little until its name is gone. Raises SMBOSError if another connection keeps it."""
        unc = self._unc(path)
        with self._session.call() as arguments:
            smbclient.remove(unc, **arguments)
        for attempt in range(_ATTEMPTS):
            try:
                with self._session.call() as arguments:
                    smbclient.lstat(unc, **arguments)
            except SMBOSError as error:
                if error.ntstatus != _DELETE_PENDING:
                    return
                if attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(_PAUSE)

    def remove_directory(self, path: str) -> None:
        with self._session.call() as arguments:
            smbclient.rmdir(self._unc(path), **arguments)

    def make_directories(self, path: str) -> None:
        with self._session.call() as arguments:
            smbclient.makedirs(self._unc(path), exist_ok=True, **arguments)

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        with self._session.call() as arguments, smbclient.scandir(self._unc(path), **arguments) as listing:
            return [
                (one.name.translate(_PLAIN), None if one.is_dir() else int(one.smb_info.end_of_file)) for one in listing
            ]

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        with self._session.call() as arguments:
            file = smbclient.open_file(self._unc(path), "rb", 0, share_access=_SHARED, **arguments)
            file.seek(start)
        filled = 0
        try:
            while filled < len(into):
                with self._session.call():
                    count = file.readinto(into[filled : filled + _AT_ONCE])
                if not count:
                    raise EOFError(f"the file ended at byte {start + filled}")
                filled += count
                yield count
        finally:
            with suppress(Exception), self._session.call():
                file.close()
            _forget(file)

    def close(self) -> None:
        self._session.close()

    def _unc(self, path: str) -> str:
        """The UNC path, as smbclient takes it, of a path whose first name is the share."""
        return "\\".join(["\\", self._session.host, *(_stored(name) for name in path.strip("/").split("/"))])


class SmbFile:
    """A file that is open for writing at any byte."""

    def __init__(self, session: SmbSession, path: str, mode: str, share_access: str) -> None:
        """Opens it; `path` is a UNC path."""
        self._session = session
        self._file: Any = None
        with session.call() as arguments:
            self._file = smbclient.open_file(path, mode, 0, share_access=share_access, **arguments)

    def __del__(self) -> None:
        if self._file is not None:
            _forget(self._file)

    def write(self, data: memoryview, offset: int) -> None:
        self._file.seek(offset)
        while data:
            with self._session.call():
                count = self._file.write(data[:_AT_ONCE])
            note_sent(count)
            data = data[count:]

    def close(self) -> None:
        try:
            with self._session.call():
                self._file.flush()
                self._file.close()
        finally:
            _forget(self._file)

    def cancel(self) -> None:
        self._session.close()

    def release(self) -> bool:
        """Close the connection, and with it the file: to close only the file would need waiting."""
        self._session.close()
        _forget(self._file)
        return True  # it connects again by itself


def _forget(file: Any) -> None:
    """Mark a file as closed, as its connection is; else it complains when it is collected."""
    file.fd._connected = False  # noqa: SLF001


def _stored(name: str) -> str:
    name = name.translate(_RESERVED)
    if name[-1:] in _LAST and name not in (".", ".."):
        name = name[:-1] + _LAST[name[-1]]
    return name
