"""`read-object CONFIG KEY`: a small object's bytes. Setup hooks and `doctor` call it, to see what another process,
in another directory or on another host, finds at the target.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..storage.reading import first_bytes
from .arguments import opened

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Status 0, and the object's bytes, the first megabyte of them, on standard output."""
    if len(arguments) != 2:
        raise UsageError("expected CONFIG KEY")
    path, key = arguments
    with opened(path, attended=False) as (_, store):
        sys.stdout.buffer.write(first_bytes(store, store.stat(key)))
    return 0
