"""The whole file gets its name: by one request where the filesystem has one, else by a copy.

A copy that fails leaves a part of the file at the name, and one that is given up may still write to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import StorageError

if TYPE_CHECKING:
    from .bounded import Bounded

# Filesystems whose mv() is known to be one request, or one call of the system.
_ONE_REQUEST = {
    f"fsspec.implementations.{name}"
    for name in ("arrow", "dbfs", "ftp", "jupyter", "local", "sftp", "smb", "webhdfs")
}  # fmt: skip


def may_copy(filesystem: Any) -> bool:
    """Whether a move may write the file at its new name bit by bit, as far as is known of that filesystem."""
    kind = _kind(filesystem)
    return _copies(kind) or not any(base.__module__ in _ONE_REQUEST for base in kind.__mro__)


def rename(fs: Bounded, working: str, final: str, place: str) -> None:
    """Give the file its name, replacing what has it. `place` stands before paths in messages.

    StorageError where something may happen to that name later: then it must not be tried again.
    """
    copies = may_copy(fs.filesystem)
    for is_last in (False, True):
        try:
            _move(fs, working, final, place, copies=copies)
        except Exception:
            # Few of these filesystems rename onto an existing file; and what a copy has left is a part of one.
            tries_again = not is_last or copies
            if fs.is_over or not tries_again or not fs.call("exists", final) or not fs.call("exists", working):
                raise
            try:
                fs.call("rm_file", final)
            except TimeoutError as error:
                raise StorageError(f"{place}{final} was being removed, so it may still disappear") from error
            if is_last:
                raise
        else:
            return


def _move(fs: Bounded, working: str, final: str, place: str, *, copies: bool) -> None:
    # fsspec's own mv takes names for patterns, where ? and * have a meaning.
    by_hand = _copies(_kind(fs.filesystem))
    try:
        fs.call("cp_file" if by_hand else "mv", working, final, moving=fs.last_size)
    except TimeoutError as error:
        if copies:
            raise StorageError(f"{place}{final} was being written, so it may still change") from error
        raise
    if by_hand:
        fs.call("rm_file", working)


def _kind(filesystem: Any) -> type[Any]:
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(filesystem, DirFileSystem):
        filesystem = filesystem.fs
    return type(filesystem)


def _copies(kind: type[Any]) -> bool:
    """Whether its mv() is fsspec's own, which copies and removes."""
    from fsspec import AbstractFileSystem

    return bool(kind.mv is AbstractFileSystem.mv)
