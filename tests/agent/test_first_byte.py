"""Where the agent serves a single data file that gzip has compressed, and can't give its first byte."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import client
from fsspec_gp_plugin.gzip_header import HEADER, PAUSE_SECONDS, is_needed
from tests.agent.conftest import CLIENTS, PATIENCE, by, require_compiled_client, unread, wait_until, write_config
from tests.agent.test_sources import IN_C
from tests.protocol.agents import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.caller import Plugin


@pytest.fixture
def silent_store() -> Iterator[socket.socket]:
    """Takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.mark.parametrize("which", CLIENTS)
@pytest.mark.parametrize("how", ["terminated", "its agent is killed"])
def test_one_whose_store_does_not_answer_gives_a_header(
    local: Plugin, silent_store: socket.socket, which: str, how: str
) -> None:
    if which == "installed":
        require_compiled_client()
    plugin = by(local, which)
    options = {
        "endpoint_url": f"http://127.0.0.1:{silent_store.getsockname()[1]}",
        "key": "key",
        "secret": "secret",
    }
    write_config(plugin.config, "s3://bucket/prefix", options, checksum="off")
    agent = Agent(plugin.database, "s3")
    process = plugin.start("restore_data", plugin.database.file(f"gpbackup_0_{plugin.database.timestamp}.gz"))
    with silent_store.accept()[0]:
        assert agent.ask("status")["streams"] == 1
        if how == "terminated":
            process.send_signal(signal.SIGTERM)
        else:
            for worker in agent.ask("status")["workers"]:
                os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (143 if how == "terminated" else 1)
    assert out == HEADER
    assert err.decode().count("\n") == 1
    wait_until(lambda: agent.ask("status")["streams"] == 0)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/data/gpbackup_0_20260102030405.gz", True),
        ("gpbackup_-1_20260102030405.gz", True),
        ("/data/gpbackup_0_20260102030405_16384.gz", True),
        ("/data/gpbackup_0_20260102030405_16384", False),
        ("/data/gpbackup_0_20260102030405_toc.yaml", False),
        ("/data/gpbackup_0_20260102030405_1_2.gz", False),
        ("/data/gpbackup_0_20260102030405.zst", False),
        ("/data/gpbackup_0_20260102030405", False),
        ("/data/gpbackup_0_2026010203040.gz", False),
        ("/data/gpbackup_x_20260102030405.gz", False),
        ("/data/gpbackup_20260102030405.gz", False),
    ],
)
def test_package_and_client_know_the_same_streams(path: str, is_one: bool) -> None:
    assert is_needed("restore_data", path) is is_one
    assert client.needs_gzip_header(["restore_data", "CONFIG", path]) is is_one
    assert not is_needed("backup_data", path)
    assert not client.needs_gzip_header(["restore_data_subset", "CONFIG", path])


@pytest.mark.parametrize("which", CLIENTS)
def test_a_stream_that_has_begun_gets_no_header(installed: Plugin, which: str) -> None:
    """Its reader would take the header for data. The pipe is full before the first piece is written."""
    if which == "installed":
        require_compiled_client()
    plugin = by(installed, which)
    data = os.urandom(2 << 20)
    path = plugin.database.file(f"gpbackup_0_{plugin.database.timestamp}.gz")
    plugin.run("backup_data", path, stdin=data).succeeded()
    agent = Agent(plugin.database, "s3")
    process = plugin.start("restore_data", path)
    wait_until(lambda: unread(process.stdout) >= 60_000)
    for worker in agent.ask("status")["workers"]:
        os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"the agent ended before the command did" in err
    assert out
    assert data.startswith(out)


def test_all_have_the_same_header() -> None:
    assert client.GZIP_HEADER == HEADER
    assert client.HEADER_SECONDS == PAUSE_SECONDS
    assert f"#define HEADER_MS {int(PAUSE_SECONDS * 1000)}" in IN_C
    [text] = (line.partition('"')[2].rpartition('"')[0] for line in IN_C.splitlines() if "gzip_header[] =" in line)
    assert text.replace("\\0", "\\x00").encode().decode("unicode_escape").encode("latin-1") == HEADER
