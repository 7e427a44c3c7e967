"""A worker that ends unexpectedly is replaced: at once, unless it ended soon after its start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from fsspec_gp_plugin.agent import shared_counters
from tests.agent.played_client import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

# Kills a worker again and again, by a clock on which it has lived as long as the test says.
PROGRAM = """
import json, os, signal, sys, types
from fsspec_gp_plugin.agent import server
now = [1000.0]
server.time = types.SimpleNamespace(monotonic=lambda: now[0])  # it can't sleep
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
serving = server.Server(folder, "agent", 60, os.open("/dev/null", os.O_RDONLY))
slot = serving._slots[0]
serving._fork(slot)
told = []
for lived in json.loads(sys.argv[2]):
    killed = slot.pid
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    now[0] += lived
    serving._reap()
    waited = 0
    while slot.pid == killed and not serving._ending:
        now[0] += 0.5
        waited += 0.5
        serving._reap()
    told.append(waited)
    if serving._ending:
        break
json.dump([told, serving._ending], sys.stdout)
"""


def told(tmp_path: Path, lived: list[float]) -> Any:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path), json.dumps(lived)],
        env={"HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_worker_that_dies_at_once_is_replaced_after_a_pause_and_any_other_without(tmp_path: Path) -> None:
    """Or a worker that can't start is forked without end. The agent answers its hooks meanwhile."""
    assert told(tmp_path, [0, 2, 5, 3600, 0]) == [[5, 3, 0, 0, 5], ""]


def test_an_agent_whose_workers_die_at_once_again_and_again_ends(tmp_path: Path) -> None:
    """The next hook starts another one, and commands run by themselves until then."""
    waits, why = told(tmp_path, [0] * 20)
    assert (len(waits), why) == (10, "its workers end as soon as they begin")
    waits, why = told(tmp_path, [0, 0, 0, 0, 0, 0, 60] * 3)
    assert (len(waits), why) == (21, "")


def test_a_worker_that_takes_a_dead_one_s_place_is_no_sign_of_life() -> None:
    """Or an agent whose workers die again and again, and that nobody needs, never ends."""
    [slot] = shared_counters.slots(1)
    slot.claim(1)
    slot.busy = 1
    slot.busy = 0
    before = slot.last
    slot.claim(2)
    assert (slot.pid, slot.busy, slot.last) == (2, 0, before)
