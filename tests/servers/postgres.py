"""PostgreSQL, started by the tests on a Unix socket in a directory of its own, and on no port. root runs it as nobody.

tests/servers/install_postgres fetches it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "gpadmin"
_NOBODY = 65534
_IN_CACHE = "postgres/usr/lib/postgresql/*/bin"


@dataclass(frozen=True)
class Postgres:
    """A running server. `environment`: with it psql finds the server, and is found itself."""

    environment: dict[str, str]

    def ask(self, query: str, database: str = "postgres") -> str:
        """What psql prints of a query."""
        return _ask(self.environment, query, database)


def installed() -> Path | None:
    """The directory of its programs, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    own = f"{cache}/fsspec_gp_plugin" if os.geteuid() else "/var/cache/fsspec_gp_plugin-tests"
    found = [*glob("/usr/lib/postgresql/*/bin"), *glob(f"{own}/{_IN_CACHE}")]
    return next((Path(path) for path in found if os.access(f"{path}/initdb", os.X_OK)), None)


@contextmanager
def run(programs: Path) -> Iterator[Postgres]:
    """Make a cluster and start the server; stop it after the yield."""
    # Not below pytest's directories: nobody can't go there, and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="fsspec_gp_plugin-postgres-"))
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(glob(f"{programs.parents[3]}/lib/*-linux-gnu")),
        "PGHOST": str(folder),
        "PGUSER": USER,
    }
    try:
        as_user = []
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
            as_user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--pdeathsig=TERM"]
        initdb = ["initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", f"--username={USER}"]
        subprocess.run(
            [*as_user, *initdb, "-D", f"{folder}/data"], env=environment, cwd=folder, check=True, capture_output=True
        )
        settings = (f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off", "jit=off")
        command = [*as_user, "postgres", "-D", f"{folder}/data", *(word for one in settings for word in ("-c", one))]
        with Program(command, folder, lambda: _ask(environment, "SELECT 1"), environment):
            yield Postgres(environment)
    finally:
        shutil.rmtree(folder)


def _ask(environment: dict[str, str], query: str, database: str = "postgres") -> str:
    command = ["psql", "-X", "-A", "-t", "-q", "-d", database, "-c", query]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise OSError(done.stderr)
    return done.stdout
