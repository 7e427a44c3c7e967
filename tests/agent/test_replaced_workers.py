"""A worker that ends unexpectedly is replaced: at once, unless it ended soon after its start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from fsspec_gp_plugin.agent.server import _PAUSE_SECONDS
from tests.agent.played_client import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

# Kills a worker again and again, by a clock on which it has lived as long as the test says.
PROGRAM = """
import json, os, signal, sys, types
from fsspec_gp_plugin.agent import server
now, pauses, pids = [1000.0], [], []
server.time = types.SimpleNamespace(monotonic=lambda: now[0], sleep=pauses.append)
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
serving = server.Server(folder, "agent", 60, os.open("/dev/null", os.O_RDONLY))
slot = serving._slots[0]
serving._fork(slot)
for lived in json.loads(sys.argv[2]):
    pids.append(slot.pid)
    os.kill(slot.pid, signal.SIGKILL)
    os.waitid(os.P_PID, slot.pid, os.WEXITED | os.WNOWAIT)
    now[0] += lived
    serving._reap()
json.dump([pauses, len({*pids, slot.pid})], sys.stdout)
"""


def test_a_worker_that_dies_at_once_is_replaced_after_a_pause_and_any_other_without(tmp_path: Path) -> None:
    """Or a worker that can't start is forked without end, and one crash keeps the hooks waiting."""
    assert _PAUSE_SECONDS == 5
    lived = [0, 2, 5, 3600, 0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path), json.dumps(lived)],
        env={"HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    assert json.loads(done.stdout) == [[5, 3, 0, 0, 5], len(lived) + 1]
