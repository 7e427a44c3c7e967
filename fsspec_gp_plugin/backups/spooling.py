"""Does a filesystem keep all of a stream in memory until its end? None says so: some is written, and memory looked at.

It costs a filesystem that sends what it gets 16 MiB that are sent for nothing, or a block if that is
larger, and one that keeps all 64 MiB of memory for a moment.
"""

from __future__ import annotations

import gc
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.contract import Store
    from .probing import Note, Probe

_PIECE = 1 << 20
_LEAST, _MOST = 16, 64  # pieces
_MEMORY = re.compile(r"^(?:RssAnon|VmSwap):\s*(\d+) kB$", re.MULTILINE)


def tell_spooling(store: Store, tried: Probe, warn: Note) -> None:
    """Warn of a filesystem that keeps streams in memory, by an upload that is taken back; StorageError where that
    fails. Of stores that the tests know it is known.
    """
    if store.capabilities.tested:
        return
    stream = _Stream()
    tried.abort(stream.pieces())
    if stream.is_kept:
        warn(
            f"this filesystem keeps what it is given in memory until a file is whole, {_MOST} MiB of {_MOST} MiB: each "
            "stream takes as much memory as it has bytes, whatever `memory_limit` says; use another protocol for the "
            "same storage"
        )


class _Stream:
    """What is written, for as long as most of it seems to stay in this process."""

    def __init__(self) -> None:
        self.is_kept = False

    def pieces(self) -> Iterator[bytes]:
        _give_back()
        before = _memory()
        for count in range(1, _MOST + 1):
            yield os.urandom(_PIECE)
            grown = _memory() - before
            if count >= _LEAST and grown < count * _PIECE // 2:
                return
        self.is_kept = True


def _give_back() -> None:
    """Return what is needed no more to the system, where the C library can: used again, it would hide what grows."""
    import ctypes  # few stores need it

    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _memory() -> int:
    """Bytes of this process that are no file's and no buffer's of ours; 0 where the system does not tell."""
    with suppress(OSError), open("/proc/self/status") as file:
        return sum(int(size) << 10 for size in _MEMORY.findall(file.read()))
    return 0
