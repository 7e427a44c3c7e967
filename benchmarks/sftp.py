"""backup_data and restore_data over SFTP beside openssh's sftp, through a link of 40 MB/s and 20 ms; they take turns.

`python -m benchmarks.sftp [MiB]` needs sshd and sftp. Medians of three runs, ratios to sftp.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.protocol.caller import Database, Plugin, write_config
from tests.servers import sshd
from tests.servers.link import Link
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, DELAY, RUNS = 40 << 20, 0.020, 3


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall and of CPU, of the processes that it waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(size: int) -> None:
    """Print a table for streams of so many MiB."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data = os.urandom(size << 20)
        (folder / "data").write_bytes(data)
        (folder / "host").mkdir(mode=0o700)
        with sshd.run(folder) as server, Proxy(f"127.0.0.1:{server.port}", link=Link(RATE, DELAY)) as proxy:
            database = Database(folder / "host")
            url = server.url.replace(f":{server.port}/", f":{proxy.port}/")
            config = write_config(folder / "c.yaml", url, server.options_at(proxy.port))
            plugin = Plugin(database, config)
            known = f"UserKnownHostsFile={server.known_hosts(proxy.port)}"
            words = ["sftp", "-q", "-P", str(proxy.port), "-i", str(server.keys / "user"), "-o", known, "-b", "-"]

            def backup() -> None:
                plugin.run("backup_data", database.table(), stdin=data).succeeded()

            def restore() -> None:
                if plugin.run("restore_data", database.table()).succeeded().out != data:
                    raise RuntimeError("other bytes came back")

            def sftp(line: str) -> Callable[[], object]:
                address = f"127.0.0.1:{server.folder}"
                return lambda: subprocess.run(
                    [*words, address], input=f"{line}\n".encode(), check=True, stdout=subprocess.DEVNULL
                )

            pairs = {
                "backup_data": (backup, sftp(f"put {folder}/data x")),
                "restore_data": (restore, sftp(f"get x {folder}/back")),
            }
            for name, (ours, theirs) in pairs.items():
                runs = [(measured(ours), measured(theirs)) for _ in range(RUNS)]
                wall, cpu = (statistics.median(run[0][n] for run in runs) for n in (0, 1))
                peer, peer_cpu = (statistics.median(run[1][n] for run in runs) for n in (0, 1))
                print(
                    f"{name} {size} MiB: {wall:.2f} s, CPU {cpu:.2f} s; sftp {peer:.2f} s, CPU {peer_cpu:.2f} s; "
                    f"wall {wall / peer:.2f} ×"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
