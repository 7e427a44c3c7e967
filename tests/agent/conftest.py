"""A host with an agent, and the two clients that an installation has."""

from __future__ import annotations

import fcntl
import os
import termios
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.protocol import caller
from tests.protocol.agents import EXECUTABLE, Agent, ask_agent
from tests.protocol.caller import Database, Plugin
from tests.protocol.conftest import Target, unique_prefix
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.servers.minio import Minio

# Of a machine with much else to do; nothing here waits so long elsewhere.
PATIENCE = 60.0

# What executablepath points at, and the launcher, which tries the agent by the client in Python.
CLIENTS = {"installed": EXECUTABLE, "python": EXECUTABLE.with_suffix(".sh")}


def write_config(path: Path, url: str, options: dict[str, Any] | None = None, **others: Any) -> Path:
    """A configuration that lets the agent serve, unless it says otherwise."""
    return caller.write_config(path, url, options, **{"agent": "on", **others})


@pytest.fixture
def database(tmp_path: Path) -> Database:
    folder = tmp_path / "host"
    folder.mkdir(mode=0o700)
    return Database(folder)


@pytest.fixture
def target(minio: Minio) -> Target:
    return Target("s3", f"s3://{minio.bucket}/agent/{unique_prefix()}", minio.options, minio)


def require_compiled_client() -> None:
    """Where no compiler was, what is installed is the launcher: the test is skipped, or fails where one is required."""
    if EXECUTABLE.read_bytes()[:4] != b"\x7fELF":
        skip_unless_required("cc", f"{EXECUTABLE} is not the compiled client")


@pytest.fixture(params=CLIENTS)
def plugin(request: pytest.FixtureRequest, database: Database, target: Target) -> Plugin:
    """A plugin on S3, called by each of the clients."""
    if request.param == "installed":
        require_compiled_client()
    return by(_on_s3(database, target), request.param)


@pytest.fixture
def installed(database: Database, target: Target) -> Plugin:
    """A plugin on S3, called as it is installed, for what does not depend on the client."""
    return _on_s3(database, target)


def _on_s3(database: Database, target: Target) -> Plugin:
    config = write_config(
        database.folder / "20260102030405_plugin.yaml",
        target.url,
        target.options,
        backup_multipart_chunksize="5MB",
        restore_multipart_chunksize="5MB",
    )
    return Plugin(database, config)


@pytest.fixture
def local(tmp_path: Path, database: Database) -> Plugin:
    """A plugin on disk."""
    (tmp_path / "disk").mkdir()
    return Plugin(database, write_config(database.folder / "local.yaml", f"file://{tmp_path}/disk"))


@pytest.fixture
def agent(database: Database) -> Agent:
    """As a setup hook leaves it."""
    database.agent = Agent(database)
    return database.agent


def descriptors(pid: int) -> set[str]:
    """Where the descriptors of a process lead."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(fd))
        except OSError:  # closed meanwhile
            continue
    return found


def by(plugin: Plugin, client: str) -> Plugin:
    """The same, called by another client."""
    return replace(plugin, executable=CLIENTS[client])


def served(agent: Agent) -> int:
    """How many commands it has run."""
    return int(agent.ask("status")["served"])


def streams(agent: Agent) -> int:
    """How many it runs now."""
    return int(agent.ask("status")["streams"])


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def wait_until_handed_over(agent: Agent, process: subprocess.Popen[bytes]) -> None:
    """Until a worker has the descriptors of a client that a test has started."""
    pipe = os.readlink(f"/proc/self/fd/{opened(process.stdin).fileno()}")
    workers = agent.ask("status")["workers"]
    wait_until(lambda: any(pipe in descriptors(pid) for pid in workers))


def opened(stream: IO[bytes] | None) -> IO[bytes]:
    """A pipe that is there."""
    assert stream is not None
    return stream


def unread(stream: IO[bytes] | None) -> int:
    """Bytes that wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(opened(stream), termios.FIONREAD, bytes(4)), "little")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Status and standard error of a process that ends while its input stays open."""
    status = process.wait(PATIENCE)
    err = opened(process.stderr).read().decode()
    for stream in (process.stdin, process.stdout, process.stderr):
        try:
            opened(stream).close()
        except BrokenPipeError:
            continue
    return status, err


def state(pid: int) -> str:
    """A letter, by the kernel: S sleeps, T is stopped, Z has ended; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return ""


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked how."""
    return state(pid) in ("", "Z")


@pytest.fixture
def stopped(database: Database) -> Iterator[None]:
    """What a hook has started ends with the test, whatever came of it."""
    yield
    found = status(database)
    if found is not None:
        ask_agent(str(database.folder / "home"), "stop")
        wait_until_gone(found["pid"])


def status(database: Database) -> dict[str, Any] | None:
    """What the agent of a host says of itself; None where there is none."""
    try:
        return ask_agent(str(database.folder / "home"), "status")
    except OSError:
        return None


def wait_until_gone(pid: int) -> None:
    """Until a process has ended."""
    wait_until(lambda: is_gone(pid))


def hook(plugin: Plugin, name: str, scope: str, timestamp: str = "20260102030405") -> None:
    """Call a hook of a backup."""
    directory = plugin.database.directory().replace(plugin.database.timestamp, timestamp)
    plugin.run(name, directory, scope).succeeded()
