"""What stands in several sources, as they can't share it: launcher and clients import nothing of the package."""

from __future__ import annotations

import re
import struct
from fnmatch import fnmatch

import fsspec_gp_plugin
from fsspec_gp_plugin import commands
from fsspec_gp_plugin.agent import admission, client, environment, wire, worker
from tests.agent.clients.installations import LAUNCHER, SOURCES

IN_C = "".join((SOURCES / name).read_text() for name in ("client.c", "gzip_header.h", "request.h"))
DATA = {"backup_data", "restore_data", "restore_data_subset", "backup_file", "restore_file"}
HOOKS = {f"{step}_plugin_for_{kind}" for step in ("setup", "cleanup") for kind in ("backup", "restore")}


def limits_in_c() -> dict[str, float]:
    """The client's limits in seconds, by name."""
    found = re.findall(r"(?m)^#define ([A-Z]+)_MS ([0-9]+)", IN_C)
    return {name: int(milliseconds) / 1000 for name, milliseconds in found}


def test_all_name_the_same_commands_for_the_agent() -> None:
    [array] = re.findall(r"commands\[\] = \{(.*?)\};", IN_C, re.DOTALL)
    # Of the launcher's lines only one has several names.
    [case] = re.findall(r"(?m)^ *([\w*]+(?: \| [\w*]+)+)\)$", LAUNCHER.read_text())
    patterns = case.split(" | ")
    assert {name for name, command in commands.COMMANDS.items() if command.is_for_agent} == DATA | HOOKS
    assert set(admission.COMMANDS) == DATA | HOOKS
    assert sorted(client.COMMANDS) == sorted(DATA | HOOKS)
    assert sorted(re.findall(r'"(\w+)"', array)) == sorted(DATA | HOOKS)
    known = commands.COMMANDS
    assert {name for name in known if any(fnmatch(name, pattern) for pattern in patterns)} == DATA | HOOKS


def test_both_clients_have_the_same_patience() -> None:
    in_python = {"ANSWER": client.ANSWER_SECONDS, "SILENCE": client.SILENCE_SECONDS, "LAST": client.LAST_SECONDS}
    in_python["HEADER"] = client.HEADER_SECONDS
    assert limits_in_c() == in_python


def test_a_client_waits_for_several_signs_of_life() -> None:
    """One that is late, or two, end nothing."""
    for silence in (client.SILENCE_SECONDS, limits_in_c()["SILENCE"]):
        assert silence == 120
        assert silence >= 5 * wire.ALIVE_SECONDS
    for text in (IN_C, (SOURCES / "client.py").read_text()):
        assert f"a sign of life comes every {wire.ALIVE_SECONDS:.0f} s" in text


def test_an_agent_has_as_long_as_a_client_and_a_signal_two_seconds() -> None:
    for answer in (client.ANSWER_SECONDS, limits_in_c()["ANSWER"]):
        assert answer == 2
        assert struct.unpack("ll", worker._RECEIVE_TIMEOUT)[0] >= answer
    for last in (client.LAST_SECONDS, limits_in_c()["LAST"]):
        assert last + client.WRITE_SECONDS <= 2


def test_the_client_in_python_is_of_the_packages_version() -> None:
    assert fsspec_gp_plugin.__version__ == client.VERSION


def test_the_client_in_python_reads_as_long_a_request_as_the_agent() -> None:
    [most] = re.findall(r"(?m)^static char request\[8 \+ ([0-9]+)\];", IN_C)
    assert client.LONGEST_REQUEST == int(most) == wire.LONGEST_REQUEST


def test_all_mean_the_same_place() -> None:
    [paths] = re.findall(r"parts\[\] = \{(.*?)\};", IN_C)
    assert tuple(re.findall(r'"(.*?)"', paths)) == client.PLACE == environment.PLACE_PATHS
