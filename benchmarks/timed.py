"""Runs a pipeline and prints the figures of one command in it: wall seconds, CPU seconds, peak bytes.

    python -I -S timed.py WHICH COMMAND… '|' COMMAND…

An interpreter of its own for each run, and next to nothing imported: the kernel's figure of peak memory counts what
the parent had at the fork, here about 9 MB. Wall is that of the whole pipeline; CPU and memory are those of the command
number WHICH with the children it waited for. The first command reads nothing, the last one's output goes nowhere.
"""

import os
import signal
import sys
import time


def main() -> int:
    """Start all, wait for all; the status of the first that failed."""
    which, words = int(sys.argv[1]), sys.argv[2:]
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    null = os.open(os.devnull, os.O_WRONLY)
    started = time.monotonic()
    source, running = os.open(os.devnull, os.O_RDONLY), {}
    for number, command in enumerate(commands):
        # None of these descriptors is inherited but as 0 or 1, or a reader would wait for an end that never comes.
        following, sink = os.pipe() if command is not commands[-1] else (null, null)
        places = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, sink, 1)]
        # Python ignores SIGPIPE, which its children would inherit and a shell's don't.
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=places, setsigdef=[signal.SIGPIPE])
        running[pid] = number
        os.close(source)
        os.close(sink)
        source = following
    status, failed, cpu, peak = 0, "", 0.0, 0
    while running:
        pid, ended, usage = os.wait4(-1, 0)
        if pid not in running:
            continue
        number = running.pop(pid)
        if ended and not status:
            status, failed = os.waitstatus_to_exitcode(ended), " ".join(commands[number])
        if number == which:
            cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    wall = time.monotonic() - started
    if status:
        sys.stderr.write(f"status {status}: {failed}\n")
        return 1
    sys.stdout.write(f"{wall} {cpu} {peak}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
