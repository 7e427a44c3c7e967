"""Hooks that the agent serves: they do what they do by themselves, in the caller's environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.wire import CONTROL
from tests.agent.conftest import PATIENCE, hook, opened, status, wait_until, write_config
from tests.protocol.agents import Agent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

pytestmark = pytest.mark.usefixtures("stopped")


def test_all_hooks_of_a_run_but_the_first_are_served(installed: Plugin, target: Target) -> None:
    database = installed.database
    for kind in ("backup", "restore"):
        for step in ("setup", "cleanup"):
            installed.setup(f"{step}_plugin_for_{kind}")
            if (kind, step) == ("backup", "setup"):
                for name in ("toc.yaml", "report"):
                    installed.run("backup_data", database.file(f"gpbackup_{database.timestamp}_{name}"), stdin=b"x")
    found = status(database)
    assert found is not None
    assert found["served"] == 11 + 2
    assert found["users"] == []
    assert sum(key.endswith(".manifest.gz") for key in target.keys()) == 1  # noqa: SIM118
    state = database.folder / "home/.fsspec_gp_plugin"
    assert not [path for path in (state / "manifests").iterdir() if path.suffix in (".db", ".user")]


@pytest.mark.parametrize("answer", [b"[]\n", b"{}\n", b'{"stand_in": true}\n', b"\n", b""])
def test_no_answer_of_another_form_fails_a_hook(local: Plugin, answer: bytes) -> None:
    """Whatever listens there: without it each hook does its own work."""
    agent = Agent(local.database)
    directory = wire.open_directory(agent.home)
    agent.stop()
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as pool:
        listener.bind(wire.address(directory, wire.socket_name() + CONTROL))
        os.close(directory)
        listener.listen()

        def give_answers() -> None:
            with suppress(OSError):  # the test has ended
                while True:
                    with listener.accept()[0] as line:
                        line.recv(4096)
                        line.sendall(answer)

        pool.submit(give_answers)
        try:
            for step in ("setup", "cleanup"):
                hook(local, f"{step}_plugin_for_backup", "master")
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def test_a_hook_has_the_environment_of_its_caller(local: Plugin, tmp_path: Path) -> None:
    """The agent has that of the hook that has started it."""
    Agent(local.database)
    local.database.extra["PGPORT"] = "7777"
    lines = local.config.read_text().splitlines(keepends=True)
    local.config.write_text("".join(line for line in lines if "pgport" not in line))
    hook(local, "setup_plugin_for_backup", "master")
    [claim] = (tmp_path / "disk").rglob("claim.json")
    assert json.loads(claim.read_text())["cluster"]["port"] == "7777"


def test_a_hook_knows_the_gpbackup_of_its_caller(local: Plugin, tmp_path: Path) -> None:
    agent = Agent(local.database)
    gpbackup = tmp_path / "gpbackup"
    shutil.copy("/bin/bash", gpbackup)
    line = f"{local.command('setup_plugin_for_backup', local.database.directory(-1), 'master', '-1')}; echo $$"
    result = local.shell(f'{gpbackup} -c "{line.replace("$$", chr(92) + "$$")}"').succeeded()
    [claim] = (tmp_path / "disk").rglob("claim.json")
    assert json.loads(claim.read_text())["process"]["pid"] == int(result.out)
    assert agent.ask("status")["served"] == 1


def test_one_that_is_interrupted_refuses_its_run(local: Plugin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = {"endpoint_url": endpoint, "key": "key", "secret": "secret"}
        write_config(local.config, "s3://bucket/prefix", options, timeout="2s")
        agent = Agent(local.database, "s3")
        process = local.start("setup_plugin_for_backup", local.database.directory(-1), "master", "-1")
        with listener.accept()[0]:
            assert agent.ask("status")["streams"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 143
            err = opened(process.stderr).read().decode()
            assert err == "fsspec_gp_plugin: setup_plugin_for_backup: interrupted by SIGTERM\n"
            process.communicate()
    wait_until(lambda: agent.ask("status")["streams"] == 0)
    assert agent.ask("status")["users"] == []
    file = local.database.file("gpbackup_20260102030405_report")
    os.makedirs(os.path.dirname(file))
    with open(file, "w") as report:
        report.write("report")
    local.run("backup_file", file).failed("the setup of backup 20260102030405 has failed")
