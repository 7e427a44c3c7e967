"""`doctor` on many hosts: how they differ, and whether all of them see one place."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import pytest

import fsspec_gp_plugin
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.servers.sshd import Sshd


def compared(local: Plugin, *words: str, status: int = 0) -> list[tuple[str, str, str]]:
    line = shlex.join([str(EXECUTABLE), "doctor", str(local.config), "--quick", "--json", *words])
    done = local.shell(line)
    assert (done.status, done.err) == (status, ""), done
    rows = json.loads(done.out)["hosts"]
    for row in rows:
        assert set(row) == {"host", "result", "version", "configuration", "differs", "told"}
    return [(row["host"], row["result"], "; ".join([*row["differs"], row["told"]])) for row in rows]


def test_hosts_are_compared(local: Plugin, tmp_path: Path) -> None:
    """By a transport that runs the command here, and changes what the host is to have otherwise."""
    other = tmp_path / "other.yaml"
    other.write_text(local.config.read_text() + "# the same\n")
    write_config(tmp_path / "differs.yaml", f"file://{tmp_path}/disk", timeout="30s")
    transport = tmp_path / "transport"
    transport.write_text(
        f"""#!/bin/sh
host=$1 config={local.config}
case $host in
  same) sh -c "echo welcome; $2" ;;
  comment) sh -c "$(echo "$2" | sed "s|$config|{other}|")" ;;
  configuration) sh -c "$(echo "$2" | sed "s|$config|{tmp_path}/differs.yaml|")" ;;
  missing) sh -c "$(echo "$2" | sed "s|$config|/no/such.yaml|")" ;;
  version) sh -c "$2" | sed 's/"version": "[^"]*"/"version": "0.0.9"/' ;;
  absent) sh -c /no/such/program ;;
  *) echo "no route to $host" >&2; exit 255 ;;
esac
"""
    )
    transport.chmod(0o755)
    names = tmp_path / "hosts"
    names.write_text("# all of them\nversion\nabsent  # of old\n\nfar\n")
    rows = compared(
        local, "--ssh", str(transport), "--hosts", "same,comment,configuration,missing", "--hostfile", str(names),
        status=1,
    )  # fmt: skip
    assert [(host, result) for host, result, _ in rows] == [
        ("same", "ok"),
        ("comment", "ok"),
        ("configuration", "differs"),
        ("missing", "failed"),
        ("version", "differs"),
        ("absent", "failed"),
        ("far", "failed"),
    ]
    told = {host: text for host, _, text in rows}
    assert "different configuration" in told["configuration"]
    assert "No such file" in told["missing"]
    assert f"version 0.0.9 instead of {fsspec_gp_plugin.__version__}" in told["version"]
    assert "install the plugin at the same path" in told["absent"]
    assert "no route to far" in told["far"]
    line = shlex.join([str(EXECUTABLE), "doctor", str(local.config), "--quick", "--ssh", str(transport)])
    lines = local.shell(f"{line} --hosts far,same").out.decode().splitlines()
    assert [text.split()[:2] for text in lines] == [["HOST", "RESULT"], ["far", "failed"], ["same", "ok"]]
    local.shell(f"{line} --hosts ,").failed("no hosts are given", status=2)
    local.shell(f"{line} --hosts=-oProxyCommand=x").failed("is not a host name", status=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root makes mount namespaces")
def test_a_host_that_sees_another_place_is_told(local: Plugin, tmp_path: Path) -> None:
    """Its share is not mounted, and nothing is made in its place."""
    transport = tmp_path / "transport"
    (tmp_path / "empty").mkdir()
    transport.write_text(
        f"""#!/bin/sh
case $1 in
  mounted) sh -c "$2" ;;
  empty) unshare -m sh -c "mount --bind {tmp_path}/empty {tmp_path}/disk; $2" ;;
esac
"""
    )
    transport.chmod(0o755)
    rows = compared(local, "--ssh", str(transport), "--hosts", "mounted,empty", status=1)
    assert rows[0] == ("mounted", "ok", "")
    assert rows[1][:2] == ("empty", "failed")
    assert "same place: this host does not see what" in rows[1][2]
    assert list((tmp_path / "disk").iterdir()) == list((tmp_path / "empty").iterdir()) == []


def test_hosts_are_reached_by_ssh(local: Plugin, sftp: Sshd) -> None:
    options = f"-p {sftp.port} -i {sftp.keys}/user -o UserKnownHostsFile={sftp.known_hosts()} -F none"
    rows = compared(local, "--hosts", "127.0.0.1,127.0.0.2", "--ssh", f"ssh {options}", status=1)
    assert rows[0] == ("127.0.0.1", "ok", "")
    assert rows[1][:2] == ("127.0.0.2", "failed")
    assert "ssh can't reach it" in rows[1][2]
