"""Does what gpbackup_helper does with one table of a single data file that gzip has compressed.

    stand_in_helper.py FIFO COMMAND…

It starts the command, reads the header of the gzip stream, looks at once at what the command says on standard error,
and only then opens the pipe on which the table's `cat` waits. Where one of these fails it exits before, and `cat` waits
for ever.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zlib

fifo, *command = sys.argv[1:]
plugin = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
assert isinstance(plugin.stdout, io.BufferedReader)
assert plugin.stderr is not None
header = plugin.stdout.peek(10)
if not header.startswith(b"\x1f\x8b\x08") or len(header) < 10:
    sys.exit(3)
os.set_blocking(plugin.stderr.fileno(), False)
if plugin.stderr.read():
    sys.exit(4)
with open(fifo, "wb") as pipe:
    try:
        with gzip.GzipFile(fileobj=plugin.stdout) as reader:
            while piece := reader.read(65536):
                pipe.write(piece)
    except (EOFError, OSError, zlib.error):
        sys.exit(1)
sys.exit(plugin.wait() and 1)
