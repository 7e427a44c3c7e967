"""Samba, started by the tests on a loopback port. tests/servers/install_smb installs it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers.ports import reserve_port
from tests.servers.program import Program, connects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "smb-test-password"
_CONFIGURATION = """
[global]
  interfaces = 127.0.0.1
  bind interfaces only = yes
  smb ports = {port}
  server role = standalone server
  server services = smb
  disable netbios = yes
  passdb backend = tdbsam:{private}/passdb.tdb
  private dir = {private}
  lock directory = {private}
  state directory = {private}
  cache directory = {private}
  pid directory = {private}
  ncalrpc dir = {private}/ncalrpc
  log file = {private}/log
  load printers = no
  printing = bsd
  printcap name = /dev/null
  disable spoolss = yes

[backups]
  path = {share}
  read only = no

[readonly]
  path = {share}

[encrypted]
  path = {share}
  read only = no
  smb encrypt = required
"""


@dataclass(frozen=True)
class Smb:
    """A running server; `share` is the folder behind smb://…/backups."""

    port: int
    user: str
    share: Path
    program: Program

    @property
    def url(self) -> str:
        return "smb://127.0.0.1/backups"

    @property
    def options(self) -> dict[str, Any]:
        return {"port": self.port, "username": self.user, "password": PASSWORD}


def executable() -> str | None:
    """Where smbd is, or None. Only root can run it."""
    found = shutil.which("smbd", path=f"{os.environ['PATH']}:/usr/sbin")
    return found if found and shutil.which("smbpasswd") and os.geteuid() == 0 else None


@contextmanager
def run(program: str, folder: Path) -> Iterator[Smb]:
    """Start the server; stop it after the yield."""
    port, user = reserve_port(), pwd.getpwuid(os.geteuid()).pw_name
    share, private, configuration = folder / "share", folder / "private", folder / "smb.conf"
    share.mkdir()
    private.mkdir(mode=0o700)
    configuration.write_text(_CONFIGURATION.format(port=port, private=private, share=share))
    subprocess.run(
        ["smbpasswd", "-c", str(configuration), "-a", "-s", user],
        input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
        check=True,
        capture_output=True,
    )
    command = [program, "--foreground", "--no-process-group", "--configfile", str(configuration)]
    with Program(command, private, connects(port)) as process:
        yield Smb(port, user, share, process)
