"""A caller that does not see the agent's files, network and users does its own work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.environment import place
from tests.agent.conftest import CLIENTS, by, hook, require_compiled_client, served
from tests.agent.played_client import PlayedClient, request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.agents import Agent
    from tests.protocol.caller import Plugin

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can always make namespaces")
NAMESPACES = {"mount": "-m", "network": "-n", "user": "-U -r"}


@as_root
@pytest.mark.parametrize("which", CLIENTS)
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_call_from_another_namespace_does_its_own_work(
    local: Plugin, agent: Agent, which: str, namespace: str
) -> None:
    if which == "installed":
        require_compiled_client()
    plugin = by(local, which)
    path = local.database.table()
    line = f"unshare {NAMESPACES[namespace]} {plugin.command('backup_data', path)}"
    plugin.shell(line, stdin=b"rows").succeeded()
    assert served(agent) == 0
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    assert served(agent) == 1


@as_root
def test_what_another_mount_namespace_writes_is_there_alone(local: Plugin, agent: Agent, tmp_path: Path) -> None:
    path = local.database.table()
    command = local.command("backup_data", path)
    found = f"cat {tmp_path}/disk/{local.database.key(path)}"
    line = f"unshare -m sh -c 'mount -t tmpfs tmpfs {tmp_path}/disk && {command} && {found}'"
    assert local.shell(line, stdin=b"rows").succeeded().out == b"rows"
    assert list((tmp_path / "disk").iterdir()) == []
    assert served(agent) == 0


@as_root
def test_a_hook_from_another_namespace_registers_nothing(local: Plugin, agent: Agent) -> None:
    hook(local, "setup_plugin_for_backup", "master")
    before = agent.ask("status")
    assert before["users"] == ["backup 20260102030405 coordinator"]
    command = local.command("setup_plugin_for_backup", local.database.directory().replace("030405", "030406"), "master")
    local.shell(f"unshare -m {command}").succeeded()
    after = agent.ask("status")
    assert (after["pid"], after["users"], after["ending"]) == (before["pid"], before["users"], "")


@pytest.mark.parametrize("part", range(4), ids=["mount", "network", "user", "root directory"])
def test_what_differs_in_one_thing_is_refused(local: Plugin, agent: Agent, part: int) -> None:
    seen = place().split()
    seen[part] = "1:1"
    words = ("backup_data", str(local.config), local.database.table())
    directory = wire.open_directory(agent.home)
    answers = []
    for one in (place(), "".join(f"{identity} " for identity in seen), ""):
        client = PlayedClient(wire.address(directory, wire.socket_name()))
        answers.append(client.ask(request(*words, environment={"HOME": agent.home}, seen=one)))
        client.close()
    os.close(directory)
    assert answers == [wire.TAKEN, wire.REFUSED, wire.REFUSED]
