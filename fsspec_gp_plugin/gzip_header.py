"""Writes a gzip header where gprestore would otherwise wait for ever for the first byte of a compressed stream.

gpbackup_helper reads the header of the gzip stream, then opens the pipe on which a table's `cat` waits. Where there is
no header it exits: then `cat` waits for ever, and gprestore with it. So a stream that fails gets a header, and says why
only after a pause: gpbackup_helper looks at standard error right after the header. To every reader of gzip it stays an
error, as nothing follows. The clients of the agent do the same.

gpbackup_helper reads single data files and, with `gprestore --resize-cluster`, those of tables.
"""

from __future__ import annotations

import os
import re
import select
import time
from contextlib import suppress

# RFC 1952: magic number, deflate, no flags, no time, no extra flags, unknown system.
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
PAUSE_SECONDS = 0.3
_STREAM = re.compile(r"(?:.*/)?gpbackup_-?[0-9]+_[0-9]{14}(?:_[0-9]+)?\.gz")


def is_needed(command: str, path: str) -> bool:
    """Return whether gprestore would wait for ever if the command ended before its first byte; `path`: its FILE."""
    return command == "restore_data" and _STREAM.fullmatch(path) is not None


def give(fd: int) -> None:
    """Write the header to a descriptor that can take it at once, and wait until it has been read."""
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    with suppress(OSError):  # nobody reads it
        if poller.poll(0):
            os.write(fd, HEADER)
            time.sleep(PAUSE_SECONDS)
