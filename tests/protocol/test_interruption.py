"""Signals, kill -9 and failing inputs: nothing becomes visible, nothing stays, the process ends soon."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import write_config
from tests.protocol.conftest import PART

if TYPE_CHECKING:
    import subprocess

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

STOPPING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def started_and_fed(plugin: Plugin, path: str, size: int) -> subprocess.Popen[bytes]:
    """A backup_data that has taken so many bytes and waits for more."""
    process = plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(os.urandom(size))
    process.stdin.flush()
    return process


def wait_until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes], within: float = 6) -> tuple[int, str]:
    """Status and standard error of a process that ends in time, while its input stays open.

    Two seconds are the plugin's; the others a busy machine's.
    """
    status = process.wait(within)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    err = process.stderr.read().decode()
    for stream in (process.stdin, process.stdout, process.stderr):
        with suppress(BrokenPipeError):
            stream.close()
    return status, err


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGTERM, marks=pytest.mark.every_target), *STOPPING[1:]])
@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_a_signal_aborts_a_backup_within_two_seconds(plugin: Plugin, target: Target, signum: int, size: int) -> None:
    process = started_and_fed(plugin, plugin.database.table(), size)
    if size > PART:
        target.wait_for_upload(process)
    else:
        time.sleep(1)
    process.send_signal(signum)
    status, err = ended(process)
    assert status == 128 + signum
    assert err.count("\n") == 1
    assert signal.Signals(signum).name in err
    assert target.keys() == []


@pytest.mark.parametrize("_attempt", range(5))
def test_two_signals_are_no_worse_than_one(plugin: Plugin, target: Target, _attempt: int) -> None:
    """Two at once reach two threads, of which neither need be the main one."""
    process = started_and_fed(plugin, plugin.database.table(), 3 * PART)
    target.wait_for_upload(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    status, err = ended(process)
    assert status in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert err.count("\n") == 1
    assert target.keys() == []


def test_hangup_stays_ignored_where_the_caller_ignores_it(plugin: Plugin) -> None:
    data = os.urandom(2 * PART)
    path = plugin.database.table()
    process = plugin.server(f"trap '' HUP; exec {plugin.command('backup_data', path)}")
    time.sleep(1)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(data, timeout=60) == (b"", b"")
    assert process.returncode == 0
    assert plugin.run("restore_data", path).succeeded().out == data


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


def test_a_signal_during_restore_file_leaves_no_file(plugin: Plugin, tmp_path: Path) -> None:
    """A disk that is slow to take the file is played by a store that is slow to give it."""
    with _silent_server() as server:
        config = _config_of(server, tmp_path)
        folder = Path(plugin.database.directory())
        folder.mkdir(parents=True)
        process = plugin.server(f"exec {plugin.command('restore_file', plugin.database.file('f'), config=config)}")
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        status, err = ended(process)
    assert status == 128 + signal.SIGTERM, err
    assert list(folder.iterdir()) == []


class _silent_server(socket.socket):  # noqa: N801 - used as a context
    """Takes connections and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen(64)


def _config_of(server: socket.socket, tmp_path: Path) -> Path:
    options = {"endpoint_url": f"http://127.0.0.1:{server.getsockname()[1]}", "key": "someone", "secret": "something"}
    return write_config(tmp_path / "silent.yaml", "s3://bucket/prefix", options)


@pytest.mark.parametrize("size", [1000, 20 << 20])
def test_a_signal_ends_a_backup_within_two_seconds_though_the_store_hangs(
    local: Plugin, tmp_path: Path, size: int
) -> None:
    with _silent_server() as server:
        local.config = _config_of(server, tmp_path)
        process = started_and_fed(local, local.database.table(), size)
        if size < PART:
            assert process.stdin is not None
            process.stdin.close()
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        status, err = ended(process)
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
    with _silent_server() as server:
        local.config = _config_of(server, tmp_path)
        process = local.start(command, *arguments)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        status, err = ended(process)
    assert status == 128 + signal.SIGINT
    assert err == f"fsspec_gp_plugin: {command}: interrupted by SIGINT\n"


@pytest.mark.parametrize("size", [1000, pytest.param(3 * PART, marks=pytest.mark.every_target)])
def test_after_kill_9_nothing_is_visible(plugin: Plugin, target: Target, size: int) -> None:
    path = plugin.database.table()
    process = started_and_fed(plugin, path, size)
    if size > PART:
        target.wait_for_upload(process)
    else:
        time.sleep(1)
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
    for number in range(12):
        (folder / f"file{number}").write_bytes(os.urandom(6 << 20))
    process = plugin.start("backup_directory_parallel", str(folder), "8")
    target.wait_for_upload(process)
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    if status == 0:
        return  # it was done before the signal came
    assert status == 128 + signal.SIGTERM, err
    for key in target.keys():  # noqa: SIM118 - a method of ours
        if key.startswith("unfinished ") or key.endswith(".part"):
            # Eight at a time are many for some servers, and two seconds are all the time there is.
            assert "could not be removed" in err, key
            continue
        name = key.rpartition("/")[2]
        assert plugin.run("restore_data", plugin.database.file(name)).succeeded().out == (folder / name).read_bytes()


@pytest.mark.parametrize("_attempt", range(3))
def test_a_signal_during_a_parallel_restore_leaves_no_working_file(
    plugin: Plugin, tmp_path: Path, _attempt: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        (folder / f"file{number}").write_bytes(os.urandom(20_000))
    plugin.run("backup_directory_parallel", str(folder), "8").succeeded()
    for path in folder.iterdir():
        path.unlink()
    process = plugin.start("restore_directory_parallel", str(folder), "8")
    wait_until(lambda: any(folder.iterdir()))
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    assert status in (0, 128 + signal.SIGTERM), err
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
        assert status == 128 + signum
        assert err.count("\n") <= 1
        assert "Traceback" not in err
