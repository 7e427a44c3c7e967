"""A stream to Google through a link like a cloud's: parts side by side, and one session, as where parts are refused."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.bench import DELAY, MEMORY, RATE, ROOT, Bench, Skipped, link
from benchmarks.measure import Target, Task
from tests.servers import gcs as gcs_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.gcs import Gcs


def google(bench: Bench) -> None:
    """Both ways take turns. The server is the tests' own front of a fake-gcs-server; see tests/servers/gcs_parts.py."""
    bench.needs(2 * bench.size)
    program = gcs_server.executable()
    if program is None:
        raise Skipped("tests/servers/install_gcs builds fake-gcs-server")
    with ExitStack() as stack:
        fake = stack.enter_context(gcs_server.running(program, bench.folder))
        ways = {
            name: stack.enter_context(link(stack.enter_context(_front(fake, denied))))
            for name, denied in (("in parts", ""), ("in one session", "create"))
        }
        tasks = [
            Task(
                f"backup_data, {name}",
                bench.plugin("backup_data", bench.config(name.replace(" ", "_"), server.url, server.options)),
                bench.environment,
                feeder=["cat", bench.source()],
            )
            for name, server in ways.items()
        ]
        targets = [
            Target("wall", "backup_data, in parts", 3, "backup_data, in one session", faster=True),
            Target("memory", "backup_data, in parts", MEMORY),
        ]
        bench.compare(f"To Google, {RATE}/s and {DELAY} ms a connection", tasks, targets)


@contextmanager
def _front(fake: Gcs, denied: str = "") -> Iterator[Gcs]:
    command = [sys.executable, "-m", "tests.servers.gcs_parts", "--target", fake.endpoint.partition("://")[2]]
    with subprocess.Popen(
        [*command, "--forget", "--deny", denied], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            if not line.isdecimal():
                raise RuntimeError(f"the front told {line!r} instead of its port")
            yield replace(fake, endpoint=f"http://127.0.0.1:{line}")
        finally:
            process.terminate()
