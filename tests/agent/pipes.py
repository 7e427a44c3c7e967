"""Pipes that are not as others expect."""

from __future__ import annotations

import os
from contextlib import suppress


def full_pipe() -> tuple[int, int]:
    """A pipe into which nothing more fits; whoever writes waits. Its two ends, for the caller to close."""
    reads, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while os.write(full, b"x" * 4096):
            pass
    os.set_blocking(full, True)
    return reads, full
