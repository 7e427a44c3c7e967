"""Does what one process writes last, and is it there for others? Another process, in another directory, looks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import installation
from ..commands import READ_OBJECT
from ..errors import LocalFileError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 60.0
_REMOVED = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "OPENSSL_CONF")


def require_lasting(
    config_path: str, url: str, key: str, content: bytes, elsewhere: str, environment: Mapping[str, str]
) -> None:
    """StorageError where another process on this host does not find an object that this one has written.

    Filesystems exist that keep everything in the memory of a process, or mean another place in another working
    directory: `elsewhere` is one that is not "/". `environment`: the caller's, with what the configuration names.
    """
    import subprocess  # only the first hook of a backup needs it

    line = [*installation.command(), READ_OBJECT, os.path.abspath(config_path), key]
    try:
        done = subprocess.run(
            line,
            cwd=elsewhere if os.getcwd() == "/" else "/",
            env=_cleaned(environment),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalFileError(f"can't read {key} by another process: {error}") from error
    if done.returncode == 0 and done.stdout == content:
        return
    told = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    raise StorageError(
        f"{url.partition('://')[0]}:// can't hold backups here: another process on this host, in another working "
        f"directory, does not find what this one wrote{f' ({told})' if told else ''}; the filesystem keeps it in "
        "memory, or means another place there"
    )


def _cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """The same without what keeps a Python from starting, which the launcher has removed from our own."""
    kept = {name: value for name, value in environment.items() if name not in _REMOVED}
    return kept | {name: os.environ[name] for name in _REMOVED if name in os.environ}
