"""A filesystem of fsspec that keeps files on disk, and has calls that never return, as often as a test says.

It imports nothing but fsspec, so that other installations can have it.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

# In a test's own process: what has hung goes on when it is set.
RELEASE = threading.Event()


class HangingFileSystem(LocalFileSystem):  # type: ignore[misc]
    """`where`: the calls that hang, or do something else, such as "write"; `folder`: as many of them as it has files.
    `how`: "hang", "reset", "full", or "work", which lasts three seconds. `block`: bytes that a file keeps in memory
    before it writes them.
    """

    protocol = "hanging"

    def __init__(self, *, where: str = "", folder: str = "", how: str = "hang", block: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.block = block
        self._where, self._folder, self._how = where, Path(folder), how
        self.at("constructor")

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(path).removeprefix("hanging://").rstrip("/") or "/"

    def at(self, where: str) -> None:
        """A call begins."""
        if where != self._where:
            return
        for file in sorted(self._folder.iterdir()):
            try:
                file.unlink()
            except FileNotFoundError:  # another call has taken it
                continue
            self._act()
            return

    def _act(self) -> None:
        if self._how == "reset":
            raise ConnectionResetError("reset by the test")
        if self._how == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._how == "hang":
            RELEASE.wait()
        else:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                pass

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.at("makedirs")
        super().makedirs(path, exist_ok=exist_ok)

    def info(self, path: str, **options: Any) -> Any:
        self.at("info")
        return super().info(path, **options)

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        self.at("ls")
        return super().ls(path, detail=detail, **options)

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        self.at("mv")
        super().mv(path1, path2, **options)

    def rm_file(self, path: str) -> None:
        self.at("rm")
        super().rm_file(path)

    def open(self, path: str, mode: str = "rb") -> HangingFile:
        self.at(f"open {mode}")
        return HangingFile(self, path, mode)


class CopyingFileSystem(HangingFileSystem):
    """One that moves a file by reading and writing it, as most do; "cp" is a call in the midst of that."""

    mv = AbstractFileSystem.mv

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        with open(path1, "rb") as source, open(path2, "wb") as target:
            target.write(source.read(1))
            target.flush()
            self.at("cp")
            target.write(source.read())


class HangingFile:
    """A file of it."""

    def __init__(self, fs: HangingFileSystem, path: str, mode: str) -> None:
        self._fs = fs
        self._file = open(path, mode)  # noqa: SIM115 - closed by close()
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        self._fs.at("write")
        self._kept += data
        if len(self._kept) >= self._fs.block:
            self._flush()
        return len(data)

    def _flush(self) -> None:
        if self._kept:
            self._file.write(self._kept)
            self._kept = bytearray()

    def read(self, size: int) -> bytes:
        self._fs.at("read")
        data: bytes = self._file.read(size)
        return data

    def seek(self, position: int) -> None:
        self._file.seek(position)

    def close(self) -> None:
        self._fs.at("close")
        self._flush()
        self._file.close()
