"""Recognizes filesystems that keep data in memory: whole objects in one process, or a stream until its end.

No filesystem says so. So another process reads an object that this one wrote, and an upload is tried while the memory
of this process is measured.
"""

from __future__ import annotations

import gc
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import installation
from ..commands import READ_OBJECT
from ..errors import LocalFileError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..storage.contract import Store

_PIECE = 1 << 20
# Pieces. A filesystem that sends data at once gets 16 MiB for nothing, or one block if that is larger; one that keeps
# data uses 64 MiB of memory for a moment.
_LEAST, _MOST = 16, 64
_MEMORY = re.compile(r"^(?:RssAnon|VmSwap):\s*(\d+) kB$", re.MULTILINE)
_READ_SECONDS = 60.0
_PYTHON_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "OPENSSL_CONF")


def warn_of_spooling(
    store: Store, upload_and_abort: Callable[[Iterable[bytes]], None], warn: Callable[[str], None]
) -> None:
    """Warn of a filesystem that keeps streams in memory, by an upload that is aborted. Raises StorageError if the
    upload fails. Does nothing for stores of which the tests know it.
    """
    if store.capabilities.tested:
        return
    stream = _Stream()
    upload_and_abort(stream.pieces())
    if stream.is_kept:
        warn(
            f"this filesystem keeps a file in memory until it is complete, {_MOST} MiB of {_MOST} MiB: each stream "
            "takes as much memory as it has bytes, whatever `memory_limit` is; use another protocol for this storage"
        )


class _Stream:
    """The pieces of a stream, for as long as most of them seem to stay in this process."""

    def __init__(self) -> None:
        self.is_kept = False

    def pieces(self) -> Iterator[bytes]:
        _release_memory()
        before = _memory()
        for count in range(1, _MOST + 1):
            yield os.urandom(_PIECE)
            grown = _memory() - before
            if count >= _LEAST and grown < count * _PIECE // 2:
                return
        self.is_kept = True


def _release_memory() -> None:
    """Return unused memory to the system, if the C library can: if it were used again, it would hide what grows."""
    import ctypes  # few stores need it

    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _memory() -> int:
    """Bytes of this process's own memory. 0 if the system does not say."""
    with suppress(OSError), open("/proc/self/status") as file:
        return sum(int(size) << 10 for size in _MEMORY.findall(file.read()))
    return 0


def require_visible_to_others(
    config_path: str, url: str, key: str, content: bytes, elsewhere: str, environment: Mapping[str, str]
) -> None:
    """Check that another process on this host, started in another directory, finds an object that this one has written.
    Raises StorageError.

    Some filesystems keep everything in the memory of a process, or depend on the working directory. `elsewhere`: a
    directory other than "/". `environment`: the caller's, with the variables that the configuration names.
    """
    import subprocess  # only the first hook of a backup needs it

    line = [*installation.command(), READ_OBJECT, os.path.abspath(config_path), key]
    try:
        done = subprocess.run(
            line,
            cwd=elsewhere if os.getcwd() == "/" else "/",
            env=_without_python_variables(environment),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_READ_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalFileError(f"can't read {key} by another process: {error}") from error
    if done.returncode == 0 and done.stdout == content:
        return
    message = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    raise StorageError(
        f"{url.partition('://')[0]}:// can't hold backups here: another process on this host, in another working "
        f"directory, does not find what this one wrote{f' ({message})' if message else ''}; the filesystem keeps it in "
        "memory, or depends on the working directory"
    )


def _without_python_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The same without the variables that keep a Python from starting, which the launcher has removed from our own."""
    kept = {name: value for name, value in environment.items() if name not in _PYTHON_VARIABLES}
    return kept | {name: os.environ[name] for name in _PYTHON_VARIABLES if name in os.environ}
