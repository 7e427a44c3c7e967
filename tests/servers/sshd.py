"""OpenSSH's sshd with a configuration and keys of the test's own, on a loopback port, for the user of the tests."""

from __future__ import annotations

import getpass
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers.ports import reserve_port
from tests.servers.program import Program, connects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Sshd:
    """A running server; backups go below `folder` of this host."""

    port: int
    folder: Path
    keys: Path
    program: Program

    @property
    def url(self) -> str:
        """A directory of its own."""
        return f"sftp://127.0.0.1:{self.port}{self.folder}"

    def known_hosts(self, port: int | None = None) -> Path:
        """A file that knows the server's key, at its port or at another that leads there."""
        port = port or self.port
        file = self.keys / f"known_hosts_{port}"
        file.write_text(f"[127.0.0.1]:{port} {(self.keys / 'host.pub').read_text()}")
        return file

    def options_at(self, port: int) -> dict[str, Any]:
        """storage_options for what leads there."""
        return {
            "username": getpass.getuser(),
            "key_filename": str(self.keys / "user"),
            "known_hosts": str(self.known_hosts(port)),
            "allow_agent": False,
            "look_for_keys": False,
        }

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for fsspec's sftp."""
        return self.options_at(self.port)


def make_key(file: Path, *words: str) -> None:
    """A pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file), *words], check=True)


@contextmanager
def run(folder: Path) -> Iterator[Sshd]:
    """Start it; stop it after the yield."""
    keys, root, port = folder / "keys", folder / "root", reserve_port()
    keys.mkdir(mode=0o700)
    root.mkdir()
    make_key(keys / "host")
    make_key(keys / "user")
    (keys / "authorized").write_text((keys / "user.pub").read_text())
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {keys}/host",
        f"AuthorizedKeysFile {keys}/authorized",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        "StrictModes no",
        "UsePAM no",
        "PidFile none",
        "MaxStartups 100",
        "Subsystem sftp internal-sftp",
    )
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    command = [PROGRAM, "-D", "-e", "-f", str(folder / "sshd_config")]
    with Program(command, folder, connects(port)) as process:
        yield Sshd(port, root, keys, process)
