"""Runs a command many times, several at a time, as a server's processes do; prints wall and CPU seconds.

    python -I -S crowd.py COUNT AT_ONCE INPUT PIDS COMMAND…

`{}` in the command is the number of the run; INPUT, a file, is its standard input; its output goes nowhere. CPU is
that of the commands with the children they waited for, and of the processes PIDS (numbers with commas, or `-`), which
work for them.
"""

import os
import sys
import time


def main() -> int:
    """All runs; the status of the first that failed."""
    count, at_once, source, pids = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    others = [] if pids == "-" else pids.split(",")
    null = os.open(os.devnull, os.O_WRONLY)
    before, started = cpu_of(others), time.monotonic()
    running: set[int] = set()
    for number in range(count):
        if len(running) == at_once:
            reap(running)
        given = os.open(source, os.O_RDONLY)
        places = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
        command = [word.replace("{}", str(number)) for word in sys.argv[5:]]
        running.add(os.posix_spawnp(command[0], command, os.environ, file_actions=places))
        os.close(given)
    while running:
        reap(running)
    wall = time.monotonic() - started
    used = os.times()
    print(wall, used.children_user + used.children_system + cpu_of(others) - before)
    return 0


def reap(running: set[int]) -> None:
    """Wait for one of them."""
    pid, status = os.wait()
    running.discard(pid)
    if status:
        sys.exit(f"one of the commands ended with status {os.waitstatus_to_exitcode(status)}")


def cpu_of(pids: list[str]) -> float:
    """CPU seconds of processes that are no children of ours, with all the threads that they ever had."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
