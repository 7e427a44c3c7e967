"""HDFS of one process: a name node and a data node on loopback ports. tests/servers/install_hdfs fetches it."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from tests.servers.ports import reserve_port
from tests.servers.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

# Who starts it is its superuser.
USER = "backup"


@dataclass(frozen=True)
class Hdfs:
    """A running HDFS: the ports of its name node and of its data node, where the bytes go."""

    port: int
    data_port: int
    program: Program

    @property
    def url(self) -> str:
        return "webhdfs://127.0.0.1/backups"

    @property
    def options(self) -> dict[str, Any]:
        return {"port": self.port, "user": USER}


def installed() -> Path | None:
    """Where it is, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(cache, "fsspec_gp_plugin", "hdfs")
    return folder if (folder / "installed").exists() and shutil.which("java") else None


@contextmanager
def run(where: Path, folder: Path) -> Iterator[Hdfs]:
    """Start it; stop it after the yield. It keeps its files when it is started again."""
    port, data_port = reserve_port(), reserve_port()
    # It starts in 3 s, and in 5 with what Java does for servers that run for days.
    command = [
        "java",
        "-Xmx384m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        # Both would leave something in /tmp.
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={folder}",
        "-cp",
        f"{where}/classes:{where}/lib/*",
    ]
    command += ["Hdfs", str(folder / "data"), str(port), str(data_port), USER]

    def ready() -> None:
        # Names nothing before the data node has reported and safe mode is over.
        urlopen(f"http://127.0.0.1:{port}/webhdfs/v1/backups?op=GETFILESTATUS&user.name={USER}", timeout=5).close()

    with Program(command, folder, ready) as process:
        yield Hdfs(port, data_port, process)
