"""Does a filesystem keep streams in memory? Where the system does not tell, nothing is said of it."""

from __future__ import annotations

import subprocess
import sys

UNREADABLE = """
import ctypes, resource
from fsspec_gp_plugin.backups.memory_filesystems import warn_of_spooling
from tests.fakes import FakeStore

class Tried:
    written = 0

    def abort(self, pieces):
        for piece in pieces:
            self.written += len(piece)

store, tried = FakeStore(), Tried()
store.capabilities = store.capabilities._replace(tested=False)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))  # /proc can't be opened
warn_of_spooling(store, tried.abort, print)
print(tried.written >> 20)
"""


def test_setup_goes_on_where_proc_can_not_be_read() -> None:
    line = [sys.executable, "-W", "ignore", "-c", UNREADABLE]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "16\n"), done.stderr
