"""A host with an agent, and the two clients that an installation has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol import caller
from tests.protocol.caller import EXECUTABLE, Agent, Database, Plugin
from tests.protocol.conftest import Target, unique_prefix

if TYPE_CHECKING:
    from tests.servers.minio import Minio

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


@pytest.fixture(params=CLIENTS)
def plugin(request: pytest.FixtureRequest, database: Database, target: Target) -> Plugin:
    """A plugin on S3, called by each of the clients."""
    config = write_config(
        database.folder / "20260102030405_plugin.yaml",
        target.url,
        target.options,
        backup_multipart_chunksize="5MB",
        restore_multipart_chunksize="5MB",
    )
    return Plugin(database, config, CLIENTS[request.param])


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
