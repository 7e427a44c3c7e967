"""What the agent does for its clients is what they would have done themselves, whatever happens to either side."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import __version__
from fsspec_gp_plugin.agent import wire
from tests.agent.conftest import by, write_config
from tests.protocol.caller import Agent
from tests.protocol.conftest import PART
from tests.protocol.test_bad_input import mount
from tests.protocol.test_interruption import ended, started_and_fed, wait_until

if TYPE_CHECKING:
    from tests.protocol.caller import Database, Plugin
    from tests.protocol.conftest import Target


def served(agent: Agent) -> int:
    return int(agent.ask("status")["served"])


def streams(agent: Agent) -> int:
    return int(agent.ask("status")["streams"])


def request(version: str, *arguments: str, **environment: str) -> bytes:
    """A client's first message."""
    fields = [version, "22", "/", str(len(arguments)), *arguments, *(f"{n}={v}" for n, v in environment.items())]
    body = "".join(f"{field}\0" for field in fields).encode()
    return wire.MAGIC + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("size", [0, 1000, PART, 3 * PART + 1])
def test_streams_go_through_the_agent(plugin: Plugin, target: Target, agent: Agent, size: int) -> None:
    data = os.urandom(size)
    path = plugin.database.table()
    assert plugin.run("backup_data", path, stdin=data).succeeded().out == b""
    assert target.keys() == [plugin.database.key(path)]
    assert plugin.run("restore_data", path).succeeded().out == data
    assert served(agent) == 2


def test_files_and_ranges_go_through_the_agent(plugin: Plugin, agent: Agent) -> None:
    """Relative paths are the caller's, and so is the mode that its umask leaves."""
    folder = Path(plugin.database.directory())
    folder.mkdir(parents=True)
    name = f"gpbackup_{plugin.database.timestamp}_toc.yaml"
    (folder / name).write_text("contents")
    (folder / "offsets").write_text("2 0 2 4 6")
    there = f"cd {folder}; {{}}"
    parents = "../../.." + "/".join(["", *folder.parts[-3:], ""])
    plugin.shell(there.format(plugin.command("backup_file", parents + name))).succeeded()
    (folder / name).unlink()
    plugin.shell(there.format(f"umask 0; {plugin.command('restore_file', parents + name)}")).succeeded()
    assert (folder / name).read_text() == "contents"
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    line = there.format(plugin.command("restore_data_subset", parents + name, "offsets"))
    assert plugin.shell(line).succeeded().out == b"coen"
    assert served(agent) == 3


def test_failures_are_told_as_without_it(plugin: Plugin, agent: Agent) -> None:
    alone = by(plugin, "python")
    for words in (
        ["restore_data", plugin.database.table(99)],
        ["restore_file", plugin.database.file("missing")],
        ["backup_file", plugin.database.file("missing")],
        ["restore_data_subset", plugin.database.table(99), "/missing"],
        ["backup_data", "/not/a/backup"],
    ):
        told = plugin.run(*words).failed()
        own = alone.shell(alone.command(*words).replace(".sh ", ".sh --without-agent ")).failed()
        assert (told.status, told.err, told.out) == (own.status, own.err, own.out)
    assert served(agent) == 5


def test_what_it_must_not_serve_runs_by_itself_with_the_same_result(
    plugin: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    database = plugin.database
    path = database.table()
    plugin.run("backup_data", path, stdin=b"rows").succeeded()
    assert served(agent) == 1
    # Another environment of credentials, or of what the configuration takes from it.
    database.extra["AWS_SECRET_ACCESS_KEY"] = "another"
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    del database.extra["AWS_SECRET_ACCESS_KEY"]
    # An unusual umask, which the agent's own does not have.
    assert plugin.shell(f"umask 0700; {plugin.command('restore_data', path)}").succeeded().out == b"rows"
    # Switched off; a configuration that can't be read; one with a mistake in it.
    off = write_config(tmp_path / "off.yaml", target.url, target.options, agent="off")
    assert plugin.run("restore_data", path, config=off).succeeded().out == b"rows"
    plugin.run("restore_data", path, config=tmp_path / "missing.yaml").failed("can't be read", status=2)
    wrong = write_config(tmp_path / "wrong.yaml", target.url, target.options, chunksize="1MB")
    plugin.run("restore_data", path, config=wrong).failed("unknown option 'chunksize'", status=2)
    # Others' commands.
    plugin.run("list_directory").succeeded()
    plugin.run("delete_backup", database.timestamp).succeeded()
    assert served(agent) == 1


def test_a_value_from_the_environment_is_the_callers(local: Plugin, agent: Agent, tmp_path: Path) -> None:
    """Two callers with one configuration and two values of `${NAME}` get what each asked for."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    database = local.database
    local.config = write_config(
        tmp_path / "variable.yaml", "sftp://127.0.0.1:1/", {"username": "${SOMEBODY}"}, timeout="1s", max_retries="0"
    )
    for name in ("one", "two"):
        database.extra["SOMEBODY"] = name
        local.run("restore_data", database.table()).failed()
    del database.extra["SOMEBODY"]
    local.run("restore_data", database.table()).failed("${SOMEBODY}", "not set", status=2)
    assert served(agent) == 2


def test_a_changed_configuration_or_file_of_secrets_is_another_store(
    plugin: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets.yaml"
    right = "key: minio-test-user\nsecret: minio-test-password\n"
    options = {name: value for name, value in target.options.items() if name not in ("key", "secret")}
    write_config(plugin.config, target.url, options, storage_options_file=str(secrets))
    path = plugin.database.table()
    for text, works in ((right, True), (right.replace("test-password", "wrong"), False), (right, True)):
        secrets.write_text(text)
        secrets.chmod(0o600)
        done = plugin.run("backup_data", path, stdin=b"rows")
        if works:
            done.succeeded()
        else:
            done.failed("the secret key does not match")
    write_config(plugin.config, f"{target.url}/elsewhere", options, storage_options_file=str(secrets))
    plugin.run("restore_data", path).failed("no such object")
    assert served(agent) == 4


@pytest.mark.parametrize("size", [1000, 3 * PART])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_client_is_killed_its_stream_is_aborted(
    plugin: Plugin, target: Target, agent: Agent, size: int, signum: int
) -> None:
    process = started_and_fed(plugin, plugin.database.table(), size)
    if size > PART:
        target.wait_for_upload(process)
    wait_until(lambda: streams(agent) == 1)
    time.sleep(0.5)  # before it is handed over, a signal ends the client alone
    process.send_signal(signum)
    status, err = ended(process)
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert signum == signal.SIGKILL or "interrupted by SIGTERM" in err
    wait_until(lambda: streams(agent) == 0, 5)
    assert target.keys() == []


def test_when_the_client_of_a_restore_is_killed_its_stream_ends(plugin: Plugin, agent: Agent) -> None:
    """Its reader sleeps, and the pipe stays full."""
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=os.urandom(4 * PART)).succeeded()
    process = plugin.start("restore_data", path)
    wait_until(lambda: streams(agent) == 1)
    time.sleep(0.5)
    process.kill()
    ended_read = process.stdout
    assert ended_read is not None
    wait_until(lambda: streams(agent) == 0, 5)
    rest = ended_read.read()  # nobody holds the pipe any more
    assert len(rest) < 4 * PART
    ended(process)


def test_when_a_worker_is_killed_its_clients_say_so_and_nothing_becomes_visible(
    plugin: Plugin, target: Target, agent: Agent
) -> None:
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 3 * PART)
    target.wait_for_upload(process)
    before = agent.ask("status")
    for worker in before["workers"]:
        os.kill(worker, signal.SIGKILL)
    status, err = ended(process, within=5)
    assert status == 1
    assert err == "fsspec_gp_plugin: backup_data: the agent ended before the command did; run it again\n"
    # Others take their place; what is called meanwhile does its own work.
    plugin.run("restore_data", path).failed("no such object")
    wait_until(lambda: not set(agent.ask("status")["workers"]) & set(before["workers"]), 20)
    now = served(agent)
    plugin.run("restore_data", path).failed("no such object")
    assert served(agent) == now + 1
    plugin.run("delete_backup", plugin.database.timestamp).succeeded()
    assert target.keys() == []


def test_when_the_agent_is_killed_its_streams_go_on(plugin: Plugin, target: Target, agent: Agent) -> None:
    data = os.urandom(3 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until(lambda: streams(agent) == 1)
    found = agent.ask("status")
    os.kill(found["pid"], signal.SIGKILL)
    time.sleep(0.5)
    assert process.communicate(data, timeout=30) == (b"", b"")
    assert process.returncode == 0
    assert target.keys() == [plugin.database.key(path)]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found["workers"]), 10)
    assert plugin.run("restore_data", path).succeeded().out[1000:] == data


def test_one_that_is_stopped_is_done_without(plugin: Plugin, agent: Agent) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=b"rows").succeeded()
    found = agent.ask("status")
    everybody = (found["pid"], *found["workers"])
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        # With a reader that waits for the end of the pipe: who is stopped must not have it open.
        done = plugin.shell(f"{plugin.command('restore_data', path)} | cat")
        assert (done.succeeded().out, time.monotonic() - started < 10) == (b"rows", True)
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    assert served(agent) == 2


def test_one_that_is_stopped_in_mid_stream_goes_on(plugin: Plugin, agent: Agent) -> None:
    data = os.urandom(3 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until(lambda: streams(agent) == 1)
    found = agent.ask("status")
    for pid in (found["pid"], *found["workers"]):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    for pid in (found["pid"], *found["workers"]):
        os.kill(pid, signal.SIGCONT)
    assert process.communicate(data, timeout=30) == (b"", b"")
    assert process.returncode == 0


def test_stopping_it_lets_streams_end(plugin: Plugin, target: Target, agent: Agent) -> None:
    data = os.urandom(2 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until(lambda: streams(agent) == 1)
    assert agent.ask("stop")["ending"] == "it was stopped"
    plugin.run("backup_data", plugin.database.table(1), stdin=b"meanwhile").succeeded()
    assert process.communicate(data, timeout=30) == (b"", b"")
    assert process.returncode == 0
    assert len(target.keys()) == 2


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
            assert process.stdin is not None
            process.stdin.write(data[at : at + 500_000])
            process.stdin.flush()
    for process in writing:
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == 0
    assert streams(agent) == 8
    for process in stalled:
        out, err = process.communicate(timeout=60)
        assert (out == data, err, process.returncode) == (True, b"", 0)
    assert served(agent) == 65


def test_2000_tables_16_at_a_time(plugin: Plugin, target: Target, agent: Agent) -> None:
    if plugin.executable.suffix == ".sh":
        pytest.skip("the other client does")
    tables = [plugin.database.table(number) for number in range(2000)]

    def save(path: str) -> tuple[int, bytes, bytes]:
        process = plugin.start("backup_data", path)
        out, err = process.communicate(path.encode(), timeout=120)
        return process.returncode, out, err

    def restore(path: str) -> bool:
        process = plugin.start("restore_data", path)
        out, err = process.communicate(timeout=120)
        return (process.returncode, out, err) == (0, path.encode(), b"")

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(save, tables)) == {(0, b"", b"")}
        assert all(pool.map(restore, tables[::4]))
    assert len(target.keys()) == 2000
    assert served(agent) == 2500
    assert streams(agent) == 0


def test_streams_take_turns_at_the_memory_that_there_is(
    plugin: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "little.yaml", target.url, target.options, agent_memory_limit="40MB")
    data = os.urandom(30_000_000)
    paths = [plugin.database.table(number) for number in range(6)]

    def there_and_back(path: str) -> bool:
        saved = plugin.run("backup_data", path, stdin=data, config=config)
        restored = plugin.run("restore_data", path, config=config)
        return saved.status == restored.status == 0 and restored.out == data

    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        workers = agent.ask("status")["workers"]
        while not over.wait(0.05):
            most = max(most, sum(_anonymous(pid) for pid in workers))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(there_and_back, paths))
    finally:
        over.set()
        watching.join()
    # Six streams would take 240 MB of buffers by themselves, and have two of 8 MB each at the least.
    assert most < 150_000_000 + len(agent.ask("status")["workers"]) * 60_000_000, most
    assert served(agent) == 12


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def test_a_hundred_backups_leave_it_as_small_as_it_was(local: Plugin, agent: Agent, tmp_path: Path) -> None:
    """Each has another timestamp and so another configuration file, as gpbackup makes them."""
    local.config = write_config(tmp_path / "plugin.yaml", f"file://{tmp_path}/disk")
    workers = agent.ask("status")["workers"]

    def backup(number: int) -> None:
        config = write_config(tmp_path / f"{number}.yaml", f"file://{tmp_path}/disk", pgport=str(number))
        for table in range(4):
            process = local.start("backup_data", local.database.table(table).replace("0304", f"{number:04}"))
            assert process.communicate(os.urandom(300_000), timeout=60) == (b"", b"")
            local.run("restore_data", local.database.table(table).replace("0304", f"{number:04}"), config=config)

    def size() -> tuple[int, int]:
        open_files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers)
        return sum(_anonymous(pid) for pid in workers), open_files

    for number in range(20):
        backup(number)
    memory, files = size()
    for number in range(20, 120):
        backup(number)
    memory_now, files_now = size()
    assert memory_now < memory + 6_000_000
    assert files_now <= files + 2
    assert agent.ask("status")["workers"] == workers


def test_a_log_that_can_not_be_written_fails_nothing(local: Plugin, database: Database) -> None:
    logs = database.folder / "home" / "gpAdminLogs"
    logs.symlink_to("/dev/full/no")
    agent = Agent(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert local.run("restore_data", database.table()).succeeded().out == b"rows"
    assert served(agent) == 2


def test_garbage_on_its_sockets_does_no_harm(local: Plugin, agent: Agent) -> None:
    directory = wire.open_directory(agent.home)
    for name in (wire.socket_name(), wire.socket_name() + ".control"):
        for words in (
            b"",
            b"\0" * 100,
            b"GET / HTTP/1.0\r\n\r\n",
            b"FGP1\xff\xff\xff\xff",
            b"FGP1\x04\0\0\0a\0b\0",
            b"{}\n",
        ):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(wire.address(directory, name))
                line.sendall(words)
    os.close(directory)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert served(agent) == 1


def test_a_client_that_says_nothing_holds_up_nobody(local: Plugin, agent: Agent) -> None:
    directory = wire.open_directory(agent.home)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for line in silent:
        line.connect(wire.address(directory, wire.socket_name()))
    os.close(directory)
    started = time.monotonic()
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert time.monotonic() - started < 20
    assert served(agent) == 1
    for line in silent:
        line.close()


def test_a_stopped_compressor_is_no_end_of_the_stream(plugin: Plugin, agent: Agent) -> None:
    """Nothing comes for a while, and then more: the agent waits as long."""
    path = plugin.database.table(suffix=".gz")
    rows = os.urandom(1_000_000)
    process = plugin.server(f"(head -c 1000; sleep 2; cat) | {plugin.command('backup_data', path)}")
    assert process.communicate(rows, timeout=60) == (b"", b"")
    assert plugin.run("restore_data", path).succeeded().out == rows
    assert served(agent) == 2
    assert process.returncode == 0


def test_a_full_disk_under_the_log_fails_nothing(local: Plugin, database: Database) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    logs = database.folder / "home" / "gpAdminLogs"
    logs.mkdir()
    mount("size=16k", logs)
    try:
        with suppress(OSError), open(logs / "full", "wb") as file:
            file.write(bytes(1 << 20))
        agent = Agent(database)
        for number in range(20):
            local.run("backup_data", database.table(number), stdin=b"rows").succeeded()
            assert local.run("restore_data", database.table(number)).succeeded().out == b"rows"
        assert served(agent) == 40
        agent.stop()
    finally:
        subprocess.run(["umount", str(logs)], check=True)


def test_another_user_is_not_served(local: Plugin, agent: Agent) -> None:
    """Not even where the directory and the socket let that user in."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    for path in (local.database.folder, *local.database.folder.parents):
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    place = Path(agent.home) / ".fsspec_gp_plugin" / "agent"
    for path in (Path(agent.home), place.parent, place):
        path.chmod(0o711)
    (place / wire.socket_name()).chmod(0o777)
    # A request that is taken from its own user, and what comes back.
    message = request(__version__, "backup_data", str(local.config), local.database.table(), HOME=agent.home)
    program = f"""
import os, socket, sys
os.chdir({str(place)!r})
os.setgroups([]); os.setgid(65534); os.setuid(65534)
line = socket.socket(socket.AF_UNIX)
line.connect({wire.socket_name()!r})
try:
    line.sendall({message!r})
    sys.stdout.buffer.write(line.recv(1))
except ConnectionError:
    pass
"""
    answers = []
    for uid in ("65534", "0"):
        command = [sys.executable, "-I", "-S", "-c", program.replace("65534", uid)]
        done = subprocess.run(command, env={"HOME": agent.home}, capture_output=True, check=False)
        answers.append((done.returncode, done.stdout))
    place.chmod(0o700)
    assert answers == [(0, b""), (0, b"T")]


def test_another_users_directory_or_socket_is_not_used(local: Plugin, agent: Agent) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    place = Path(agent.home) / ".fsspec_gp_plugin" / "agent"
    path = local.database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    os.chown(place, 65534, 65534)
    assert local.run("restore_data", path).succeeded().out == b"rows"
    os.chown(place, 0, 0)
    assert served(agent) == 1
    assert local.run("restore_data", path).succeeded().out == b"rows"
    assert served(agent) == 2


@pytest.mark.parametrize(
    ("version", "command", "answer"),
    [(__version__, "backup_data", b"T"), ("9.9.9", "backup_data", b"N"), (__version__, "delete_backup", b"N")],
)
def test_clients_of_other_versions_and_other_commands_are_refused(
    local: Plugin, agent: Agent, version: str, command: str, answer: bytes
) -> None:
    directory = wire.open_directory(agent.home)
    message = request(version, command, str(local.config), local.database.table(), HOME=agent.home)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(wire.address(directory, wire.socket_name()))
        line.sendall(message)
        assert line.recv(1) == answer
    os.close(directory)
