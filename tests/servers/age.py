"""The programs age, age-keygen and rage, and the test vectors of their format, from the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def executable(name: str) -> str | None:
    """Where one of the programs is, or None."""
    candidates = [str(_cache() / "bin" / name), shutil.which(name)]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def vectors() -> list[Path]:
    """The files of test vectors, sorted; empty where they are not installed."""
    return sorted((_cache() / "age-vectors").glob("*"))


def call(program: str, *words: object, data: bytes = b"") -> bytes:
    """What the program makes of the data."""
    done = subprocess.run([program, *map(str, words)], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "fsspec_gp_plugin"
