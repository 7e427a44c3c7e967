"""Many streams and many backups: each makes progress, and the agent stays as small as it was."""

from __future__ import annotations

import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent.conftest import PATIENCE, opened, served, streams, unread, wait_until, write_config
from tests.protocol.test_interruption import started_and_fed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.protocol.agents import Agent
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


def test_64_streams_make_progress_though_eight_are_never_read(local: Plugin, agent: Agent) -> None:
    """Those of a backup with a single data file advance together: one that waited for another would stop them all."""
    data = os.urandom(3_000_000)
    paths = [local.database.table(number) for number in range(64)]
    local.run("backup_data", paths[0], stdin=data).succeeded()
    stalled = [local.start("restore_data", paths[0]) for _ in range(8)]
    wait_until(lambda: streams(agent) == 8)
    writing = [local.start("backup_data", path) for path in paths[8:]]
    wait_until(lambda: streams(agent) == 64)
    # All of them have begun before any goes on; then each gets a little, again and again.
    for at in range(0, len(data), 500_000):
        for process in writing:
            opened(process.stdin).write(data[at : at + 500_000])
            opened(process.stdin).flush()
    for process in writing:
        assert process.communicate(timeout=PATIENCE) == (b"", b"")
        assert process.returncode == 0
    wait_until(lambda: streams(agent) == 8)
    for process in stalled:
        out, err = process.communicate(timeout=PATIENCE)
        assert (out == data, err, process.returncode) == (True, b"", 0)
    assert served(agent) == 65


def test_hundreds_of_tables_16_at_a_time(installed: Plugin, target: Target, agent: Agent) -> None:
    tables = [installed.database.table(number) for number in range(400)]

    def save(path: str) -> tuple[int, bytes, bytes]:
        process = installed.start("backup_data", path)
        out, err = process.communicate(path.encode(), timeout=PATIENCE)
        return process.returncode, out, err

    def restore(path: str) -> bool:
        process = installed.start("restore_data", path)
        out, err = process.communicate(timeout=PATIENCE)
        return (process.returncode, out, err) == (0, path.encode(), b"")

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(save, tables)) == {(0, b"", b"")}
        assert all(pool.map(restore, tables[::4]))
    assert len(target.keys()) == 400
    assert served(agent) == 500
    assert streams(agent) == 0


def test_streams_for_which_it_has_no_descriptors_run_by_themselves(
    installed: Plugin, target: Target, agent: Agent
) -> None:
    workers = agent.ask("status")["workers"]
    for worker in workers:
        hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (70, hard))
    data = os.urandom(3 * PART)
    processes = [
        started_and_fed(installed, installed.database.table(number), PART) for number in range(7 * len(workers))
    ]
    with ThreadPoolExecutor(len(processes)) as pool:
        ended = list(pool.map(lambda process: process.communicate(data, timeout=PATIENCE), processes))
    assert set(ended) == {(b"", b"")}
    assert {process.returncode for process in processes} == {0}
    assert len(target.keys()) == len(processes)
    assert 0 < served(agent) < len(processes)


MB = 10**6
STREAMS, PART = 6, 5 << 20


def test_streams_take_turns_at_the_memory_that_there_is(
    installed: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    """Restores whose readers are slow have as many buffers as they may; each may always have two, whatever is left."""
    workers = agent.ask("status")["workers"]
    limit, more = 200 * MB, STREAMS * 2 * PART + MB
    data = os.urandom(60 * MB)
    installed.run("backup_data", installed.database.table(), stdin=data).succeeded()

    def configured(limit: int) -> Path:
        return write_config(
            tmp_path / f"{limit}.yaml",
            target.url,
            target.options,
            agent_memory_limit=f"{limit // MB}MB",
            restore_multipart_chunksize="5MB",
            restore_max_concurrent_requests="8",
        )

    # More than that they would take, and so it is measured.
    with restoring(installed, configured(2000 * MB)):
        wait_until(lambda: sum(buffers(workers)) > limit + more)
    wait_until(lambda: streams(agent) == 0 and sum(buffers(workers)) < MB)
    with restoring(installed, configured(limit)) as processes:
        wait_until(lambda: all(unread(process.stdout) for process in processes))
        seen = [buffers(workers)]
        while (now := buffers(workers)) != seen[-1]:
            seen.append(now)
            time.sleep(0.5)  # where more comes later this tells less, and nothing wrong
        with ThreadPoolExecutor(STREAMS) as pool:
            reading = [pool.submit(process.communicate, timeout=PATIENCE) for process in processes]
            while not all(one.done() for one in reading):
                seen.append(buffers(workers))
                time.sleep(0.01)
        assert all(one.result() == (data, b"") for one in reading)
        assert max(map(sum, seen)) < limit + more
        assert max(map(max, seen)) < limit / len(workers) + more
    assert served(agent) == 1 + 2 * STREAMS


@pytest.mark.parametrize("command", ["backup_data", "restore_data"])
def test_a_stream_that_is_aborted_gives_its_memory_back_at_once(installed: Plugin, agent: Agent, command: str) -> None:
    """Though nobody calls the agent again, so that it does nothing more."""
    workers = agent.ask("status")["workers"]
    path = installed.database.table()
    if command == "backup_data":
        process = started_and_fed(installed, path, 3 * PART)
    else:
        installed.run("backup_data", path, stdin=os.urandom(6 * PART)).succeeded()
        process = installed.start(command, path)
    wait_until(lambda: sum(buffers(workers)) > 2 * PART)
    process.kill()
    process.communicate()
    wait_until(lambda: streams(agent) == 0)
    wait_until(lambda: sum(buffers(workers)) < MB)


@contextmanager
def restoring(plugin: Plugin, config: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Streams that nobody reads yet; what is left of them ends with the block."""
    plugin.config = config
    processes = [plugin.start("restore_data", plugin.database.table()) for _ in range(STREAMS)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def buffers(workers: list[int]) -> list[int]:
    """Bytes of the streams' buffers in each. They are mapped as shared memory, which the kernel counts apart."""
    return [resident(pid, "RssShmem") for pid in workers]


def resident(pid: int, kind: str) -> int:
    """Bytes of one kind of memory that a process has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{kind}:"))


def test_a_hundred_backups_leave_it_as_small_as_it_was(local: Plugin, agent: Agent, tmp_path: Path) -> None:
    """Each has another timestamp and so another configuration file, as gpbackup makes them."""
    workers = agent.ask("status")["workers"]
    data = os.urandom(300_000)

    def backup(number: int) -> None:
        local.config = write_config(tmp_path / f"{number}.yaml", f"file://{tmp_path}/disk", pgport=str(number))
        for table in range(2):
            path = local.database.table(table).replace("0304", f"{number:04}")
            for command, given, out in (("backup_data", data, b""), ("restore_data", b"", data)):
                assert local.start(command, path).communicate(given, timeout=PATIENCE) == (out, b"")

    def size() -> tuple[int, int]:
        open_files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers)
        return sum(resident(pid, "RssAnon") for pid in workers) + sum(buffers(workers)), open_files

    for number in range(20):
        backup(number)
    memory, files = size()
    for number in range(20, 120):
        backup(number)
    memory_now, files_now = size()
    assert memory_now < memory + 6_000_000
    assert files_now <= files + 2
    assert agent.ask("status")["workers"] == workers
