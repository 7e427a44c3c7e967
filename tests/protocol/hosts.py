"""Hosts of a cluster as namespaces: each has its own mounts, a home named by its passwd file, and data directories."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.protocol.caller import Database, Plugin, Result, write_config

if TYPE_CHECKING:
    from pathlib import Path

# Takes its name, mounts what is asked for, in pairs, and keeps the namespaces until its input ends.
_SCRIPT = 'hostname "$1"; shift; while [ $# -gt 0 ]; do mount --bind "$1" "$2" || exit 99; shift 2; done; echo; read _'


@dataclass
class Host:
    """One host, on which hooks start the agent as they do in earnest, where the configuration wants one."""

    plugin: Plugin
    name: str
    mounts: list[tuple[Path, Path]] = field(default_factory=list)
    _kept: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Database:
        """Its data directories and environment."""
        return self.plugin.database

    def run(self, *words: str, stdin: bytes = b"", home: str = "") -> Result:
        """A command of the plugin there, with `home` as HOME, or the passwd file's."""
        line = " ".join([str(self.plugin.executable), words[0], str(self.plugin.config), *words[1:]])
        environment = self.database.environment() | ({"HOME": home} if home else {})
        done = subprocess.run(
            self.inside("bash", "-c", line),
            input=stdin,
            capture_output=True,
            env=environment,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def inside(self, *command: str) -> list[str]:
        """A command line that runs that command there."""
        return ["nsenter", "-t", self._keeper(), "-m", "-u", f"-w{self.database.folder}/home", *command]

    def _keeper(self) -> str:
        """The process that keeps the host's namespaces: an agent serves none but its own."""
        if self._kept is None:
            mounts = [str(path) for pair in self.mounts for path in pair]
            # A name of its own, too: two hosts have two.
            command = ["unshare", "-m", "-u", "sh", "-c", _SCRIPT, "host", self.name, *mounts]
            self._kept = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self._kept.stdout is not None
            assert self._kept.stdout.readline() == b"\n"
        return str(self._kept.pid)

    def close(self) -> None:
        """Nobody needs it any more."""
        if self._kept is not None:
            self._kept.communicate()
            self._kept = None

    def hook(self, name: str, scope: str, segment: int = 0) -> Result:
        """A hook as gpbackup calls it there."""
        if scope == "master":
            return self.run(name, self.database.directory(-1), scope, '\\"-1\\"')
        return self.run(name, self.database.directory(segment), scope)

    def back_up_file(self, name: str, text: str = "text") -> Result:
        """A file of the coordinator's."""
        path = self.database.folder / self.database.directory(-1) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.run("backup_file", str(path))


def make_host(folder: Path, name: str, url: str, options: dict[str, Any] | None = None, **others: Any) -> Host:
    """A host below a directory; its state is where its passwd file says the home is."""
    place = folder / name
    place.mkdir(mode=0o700)
    database = Database(place)
    entry = pwd.getpwuid(os.geteuid())
    (place / "passwd").write_text(f"{entry.pw_name}:x:{entry.pw_uid}:{entry.pw_gid}::{place}/home:/bin/bash\n")
    given = {"state_directory": "", **others}
    config = write_config(place / "20260102030405_plugin.yaml", url, options, **given)
    return Host(Plugin(database, config), name, [(place / "passwd", folder.__class__("/etc/passwd"))])
