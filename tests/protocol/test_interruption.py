"""Signals, kill -9 and failing inputs: nothing becomes visible, nothing stays, the process ends soon."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import write_config
from tests.protocol.conftest import PART
from tests.protocol.waiting import wait_until, wait_until_read

if TYPE_CHECKING:
    import subprocess

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

__all__ = ["ended", "started_and_fed", "wait_until"]  # for the tests of agents

# As docs/failures.md says, and half a second for looking.
TWO_SECONDS = 2.5
STOPPING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def started_and_fed(plugin: Plugin, path: str, size: int) -> subprocess.Popen[bytes]:
    """A backup_data that has taken so many bytes and waits for more."""
    process = plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(os.urandom(size))
    process.stdin.flush()
    return process


def ended(process: subprocess.Popen[bytes], within: float = 30) -> tuple[int, str]:
    """Status and standard error of a process that ends in time, while its input stays open."""
    status = process.wait(within)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    err = process.stderr.read().decode()
    for stream in (process.stdin, process.stdout, process.stderr):
        with suppress(BrokenPipeError):
            stream.close()
    return status, err


def in_mid_backup(plugin: Plugin, target: Target, path: str, size: int) -> subprocess.Popen[bytes]:
    """A backup_data that waits for more; its upload has begun, where it has got more than one part."""
    process = started_and_fed(plugin, path, size)
    wait_until_read(process)
    if size > PART:
        target.wait_for_upload(process)
    return process


@pytest.mark.alone
@pytest.mark.every_target
def test_a_backup_ends_within_two_seconds_of_a_signal(plugin: Plugin, target: Target) -> None:
    process = in_mid_backup(plugin, target, plugin.database.table(), 3 * PART)
    process.send_signal(signal.SIGTERM)
    assert ended(process, within=TWO_SECONDS)[0] == 128 + signal.SIGTERM
    assert target.keys() == []


@pytest.mark.with_agent
@pytest.mark.parametrize("signum", [pytest.param(signal.SIGTERM, marks=pytest.mark.every_target), *STOPPING[1:]])
@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_a_signal_aborts_a_backup(plugin: Plugin, target: Target, signum: int, size: int) -> None:
    process = in_mid_backup(plugin, target, plugin.database.table(), size)
    process.send_signal(signum)
    status, err = ended(process)
    assert status == 128 + signum
    assert err.count("\n") == 1
    assert signal.Signals(signum).name in err
    assert target.keys() == []


@pytest.mark.agent_unless_disk
@pytest.mark.parametrize("_attempt", range(3))
def test_two_signals_are_no_worse_than_one(plugin: Plugin, target: Target, _attempt: int) -> None:
    """Two at once reach two threads, of which neither need be the main one."""
    process = in_mid_backup(plugin, target, plugin.database.table(), 3 * PART)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    status, err = ended(process)
    assert status in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert err.count("\n") == 1
    assert target.keys() == []


@pytest.mark.with_agent
def test_hangup_stays_ignored_where_the_caller_ignores_it(plugin: Plugin) -> None:
    data = os.urandom(2 * PART)
    path = plugin.database.table()
    process = plugin.server(f"trap '' HUP; exec {plugin.command('backup_data', path)}")
    assert process.stdin is not None
    process.stdin.write(data[:1000])
    process.stdin.flush()
    wait_until_read(process)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(data[1000:], timeout=60) == (b"", b"")
    assert process.returncode == 0
    assert plugin.run("restore_data", path).succeeded().out == data


@pytest.mark.with_agent
@pytest.mark.every_target
def test_a_signal_ends_a_restore_whose_reader_sleeps(plugin: Plugin) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=os.urandom(4 * PART)).succeeded()
    process = plugin.start("restore_data", path)
    assert process.stdout is not None
    process.stdout.read(10)
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    assert status == 128 + signal.SIGTERM, err
    assert "SIGTERM" in err


@pytest.mark.with_agent
def test_a_signal_during_restore_file_leaves_no_file(plugin: Plugin, tmp_path: Path) -> None:
    """A disk that is slow to take the file is played by a store that is slow to give it."""
    with SilentServer() as server:
        config = server.config(tmp_path)
        folder = Path(plugin.database.directory())
        folder.mkdir(parents=True)
        process = plugin.server(f"exec {plugin.command('restore_file', plugin.database.file('f'), config=config)}")
        server.wait_until_asked()
        process.send_signal(signal.SIGTERM)
        status, err = ended(process)
    assert status == 128 + signal.SIGTERM, err
    assert list(folder.iterdir()) == []


class SilentServer:
    """Takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._socket.settimeout(20)
        self._open = ExitStack()

    def __enter__(self) -> SilentServer:
        self._open.enter_context(self._socket)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def config(self, tmp_path: Path) -> Path:
        """A configuration with this for a store."""
        endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        options = {"endpoint_url": endpoint, "key": "someone", "secret": "something"}
        return write_config(tmp_path / "silent.yaml", "s3://bucket/prefix", options)

    def wait_until_asked(self) -> None:
        """Until a request has come."""
        connection, _ = self._socket.accept()
        self._open.enter_context(connection)
        connection.settimeout(20)
        assert connection.recv(1)


@pytest.mark.with_agent
@pytest.mark.alone
@pytest.mark.parametrize("size", [1000, 20 << 20])
def test_a_signal_ends_a_backup_within_two_seconds_though_the_store_hangs(
    local: Plugin, tmp_path: Path, size: int
) -> None:
    with SilentServer() as server:
        local.config = server.config(tmp_path)
        process = started_and_fed(local, local.database.table(), size)
        if size < PART:
            assert process.stdin is not None
            process.stdin.close()
        server.wait_until_asked()
        process.send_signal(signal.SIGTERM)
        status, err = ended(process, within=TWO_SECONDS)
    assert status == 128 + signal.SIGTERM, err
    assert err.startswith("fsspec_gp_plugin: backup_data: interrupted by SIGTERM")
    assert err.count("\n") == 1
    # What is not known to be gone is told.
    assert ("could not be removed" in err) == (size > PART)


@pytest.mark.parametrize("command", ["setup_plugin_for_backup", "restore_data", "delete_backup", "list_directory"])
def test_a_signal_ends_any_command_with_a_line_though_the_store_hangs(
    local: Plugin, tmp_path: Path, command: str
) -> None:
    arguments = {
        "setup_plugin_for_backup": [local.database.directory(), "master"],
        "restore_data": [local.database.table()],
        "delete_backup": [local.database.timestamp],
    }.get(command, [])
    with SilentServer() as server:
        local.config = server.config(tmp_path)
        process = local.start(command, *arguments)
        server.wait_until_asked()
        process.send_signal(signal.SIGINT)
        status, err = ended(process)
    assert status == 128 + signal.SIGINT
    assert err == f"fsspec_gp_plugin: {command}: interrupted by SIGINT\n"


@pytest.mark.with_agent
@pytest.mark.parametrize("size", [1000, pytest.param(3 * PART, marks=pytest.mark.every_target)])
def test_after_kill_9_nothing_is_visible(plugin: Plugin, target: Target, size: int) -> None:
    path = plugin.database.table()
    process = in_mid_backup(plugin, target, path, size)
    process.kill()
    ended(process)
    plugin.run("restore_data", path).failed("no such object")
    listed = plugin.run("list_directory").succeeded().out.decode()
    assert listed.splitlines()[1:] == []
    plugin.run("delete_backup", plugin.database.timestamp).succeeded()
    assert target.keys() == []


@pytest.mark.every_target
def test_a_signal_during_a_parallel_directory_leaves_only_whole_objects(plugin: Plugin, target: Target) -> None:
    folder = Path(plugin.database.directory())
    folder.mkdir(parents=True)
    small = (0, 1, 2)
    for number in range(12):
        # Some are there at once, and the others take many seconds at this rate.
        (folder / f"file{number}").write_bytes(os.urandom(1000))
        if number not in small:
            os.truncate(folder / f"file{number}", 40 << 20)
    settings = {"backup_multipart_chunksize": "5MB", "max_bandwidth": "8MB"}
    write_config(plugin.config, target.url, target.options, **settings)
    process = plugin.start("backup_directory_parallel", str(folder), "8")
    target.wait_for_upload(process)
    whole = {f"file{number}" for number in small}
    wait_until(lambda: {key.rpartition("/")[2] for key in target.keys()} >= whole)  # noqa: SIM118 - a method of ours
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    assert status == 128 + signal.SIGTERM, err
    left = target.keys()
    assert {key.rpartition("/")[2] for key in left} >= whole
    for key in left:
        if key.startswith("unfinished ") or key.endswith(".part"):
            # Eight at a time are many for some servers, and two seconds are all the time there is.
            assert target.kind != "file"
            assert "could not be removed" in err, key
            continue
        name = key.rpartition("/")[2]
        assert plugin.run("restore_data", plugin.database.file(name)).succeeded().out == (folder / name).read_bytes()


@pytest.mark.parametrize("_attempt", range(2))
def test_a_signal_during_a_parallel_restore_leaves_no_working_file(
    plugin: Plugin, target: Target, tmp_path: Path, _attempt: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        (folder / f"file{number}").write_bytes(os.urandom(20_000))
    plugin.run("backup_directory_parallel", str(folder), "8").succeeded()
    for path in folder.iterdir():
        path.unlink()
    # Eight at a time, all 300 of them take four seconds.
    write_config(plugin.config, target.url, target.options, max_bandwidth="200KB")
    process = plugin.start("restore_directory_parallel", str(folder), "8")
    wait_until(lambda: any(folder.iterdir()))
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    assert status == 128 + signal.SIGTERM, err
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []
    assert {path.stat().st_size for path in folder.iterdir()} <= {20_000}


@pytest.mark.parametrize("milliseconds", range(0, 260, 20))
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_is_no_traceback(local: Plugin, signum: int, milliseconds: int) -> None:
    """Not so INT: for its first 30 ms or so Python answers it in its own way."""
    process = local.start("backup_data", local.database.table())
    time.sleep(milliseconds / 1000)
    process.send_signal(signum)
    status, err = ended(process)
    if status < 0:
        assert (status, err) == (-signum, "")  # before it was Python's to handle
    else:
        assert status == 128 + signum, err
        assert err.count("\n") <= 1
        assert "Traceback" not in err
