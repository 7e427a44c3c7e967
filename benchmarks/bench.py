"""What the scenarios share: where they work, how large and how often, the servers they start, where results go."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from benchmarks.measure import MIB, Comparison, compare
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config
from tests.servers import certificates
from tests.servers import minio as minio_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.measure import Target, Task
    from tests.servers.gcs import Gcs
    from tests.servers.minio import Minio

_Server = TypeVar("_Server", "Minio", "Gcs")
ROOT = Path(__file__).resolve().parent.parent
OBJECT = "/data/gpseg0/backups/20260102/20260102030405/gpbackup_0_20260102030405"
KEY = "/".join(OBJECT.split("/")[-4:])
MEMORY = 256 * MIB
RATE, DELAY = "40MB", 20


class Skipped(Exception):
    """A scenario lacks something; the text says what."""


@dataclass
class Bench:
    """One scenario's folder, size and number of runs."""

    folder: Path
    size: int
    runs: int
    report: Report
    # Another plugin's executable, which is measured beside ours.
    beside: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """For all that is measured: nothing of the caller's but PATH, logs below the folder."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)}

    @property
    def length(self) -> str:
        return f"{self.size / (1 << 30):g} GiB" if self.size >= 1 << 30 else f"{self.size / MIB:g} MiB"

    def needs(self, size: int) -> None:
        """Skip the scenario unless so many bytes are free."""
        if shutil.disk_usage(self.folder).free < size + (1 << 30):
            raise Skipped(f"{self.folder.parent} has less than {size / (1 << 30) + 1:.0f} GiB free")

    def source(self) -> str:
        """A file of random bytes; written, so it is in the page cache."""
        path = self.folder / "source"
        if not path.exists():
            with open(path, "wb") as file:
                file.writelines(os.urandom(min(MIB, self.size - start)) for start in range(0, self.size, MIB))
        return str(path)

    def config(self, name: str, url: str, options: dict[str, Any] | None = None, **others: str) -> str:
        return str(write_config(self.folder / f"{name}.yaml", url, options, **others))

    def s3_plugin_config(self, server: Minio, name: str) -> str:
        """A configuration as gpbackup_s3_plugin takes it, for the other plugin."""
        options = {
            "region": "us-east-1",
            "endpoint": server.endpoint,
            "aws_access_key_id": minio_server.USER,
            "aws_secret_access_key": minio_server.PASSWORD,
            "bucket": server.bucket,
            "folder": name,
            "encryption": "off",
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"executablepath": self.beside, "options": options}))
        return str(path)

    def plugin(self, command: str, config: str, *words: str) -> list[str]:
        return [str(EXECUTABLE), command, config, OBJECT, *words]

    def compare(self, title: str, tasks: Sequence[Task], targets: Sequence[Target] = (), *, warm: bool = True) -> None:
        self.report.add(compare(f"{title}: {self.length}", tasks, self.runs if warm else 1, targets, warm=warm))

    @contextmanager
    def minio(self, *, tls: bool = False, variables: Mapping[str, str] | None = None) -> Iterator[Minio]:
        """A server of the scenario's own, with other variables of MinIO's."""
        program = minio_server.executable()
        if program is None:
            raise Skipped("benchmarks/install builds MinIO")
        made = certificates.make(self.folder / "tls") if tls else None
        with contextmanager(minio_server.run)(program, self.folder, made, variables) as server:
            yield server


@dataclass
class Peer:
    """MinIO's own client, mc, with one bucket of one server."""

    server: Minio
    environment: dict[str, str]

    @classmethod
    def of(cls, bench: Bench, server: Minio) -> Peer:
        """Nothing but variables: mc needs no configuration."""
        scheme, _, place = server.endpoint.partition("://")
        user = f"{minio_server.USER}:{minio_server.PASSWORD}"
        environment = {**bench.environment, "MC_HOST_bench": f"{scheme}://{user}@{place}"}
        if server.certificates is not None:
            environment["SSL_CERT_FILE"] = str(server.certificates.authority)
        return cls(server, environment)

    def command(self, name: str, key: str = "peer") -> list[str]:
        """`mc pipe` or `mc cat` of one object."""
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        mc = f"{cache}/fsspec_gp_plugin/bin/mc"
        if not os.access(mc, os.X_OK):
            raise Skipped("benchmarks/install builds mc")
        return [mc, name, "--quiet", f"bench/{self.server.bucket}/{key}"]


@contextmanager
def link(server: _Server, rate: str = RATE, delay: int = DELAY) -> Iterator[_Server]:
    """The same server behind a proxy that slows every connection down as a cloud does."""
    if importlib.util.find_spec("tests.servers.proxy") is None:
        raise Skipped("tests/servers/proxy.py is not there")
    command = [sys.executable, "-m", "tests.servers.proxy", "--target", server.endpoint.partition("://")[2]]
    command += ["--rate", rate, "--delay", str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            if not line.isdecimal():
                raise RuntimeError(f"the proxy told {line!r} instead of its port")
            yield replace(server, endpoint=f"{server.endpoint.partition(':')[0]}://127.0.0.1:{line}")
        finally:
            process.terminate()


def remover(server: Minio, *keys: str) -> Callable[[], None]:
    """Something that deletes objects, so that no backup pays for replacing the one before: real ones don't."""
    filesystem = server.filesystem()

    def remove() -> None:
        for key in keys:
            if filesystem.exists(f"{server.bucket}/{key}"):
                filesystem.rm_file(f"{server.bucket}/{key}")

    return remove


@dataclass
class Report:
    """Prints results as they come, and keeps a file of the raw figures up to date."""

    file: Path | None
    comparisons: list[Comparison] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        self.comparisons.append(comparison)
        print(comparison.table(), flush=True)
        if self.file is not None:
            document = {"machine": machine(), "comparisons": [one.document() for one in self.comparisons]}
            self.file.write_text(json.dumps(document, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What the figures were measured on, and the commit."""
    version = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": version.stdout.strip(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg(),
    }
