"""Encrypted streams and tables beside plain ones, and beside `age` in a pipe before a plain one."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import tables
from benchmarks.bench import DELAY, KEY, MEMORY, OBJECT, RATE, Bench, Skipped, link, remover
from benchmarks.measure import Target, Task
from fsspec_gp_plugin.age.x25519 import new_identity
from tests.protocol.agents import EXECUTABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.minio import Minio

LINK = f"{RATE}/s and {DELAY} ms a connection"
PLAIN, ENCRYPTED, PIPE = "plain", "encrypted", "age in a pipe"


def streams(bench: Bench) -> None:
    """One stream to and from MinIO, over a link like a cloud's, and to and from a disk."""
    bench.needs(5 * bench.size)
    age = _Age(bench)
    with bench.minio() as direct:
        _compare(bench, age, "MinIO", _s3(direct, direct), 1.25)
        with link(direct) as server:
            _compare(bench, age, f"MinIO, {LINK}", _s3(direct, server), 1.15)
    folder = bench.folder / "target"
    folder.mkdir()

    def ready(name: str) -> tuple[str, dict[str, Any], Callable[[], None]]:
        return f"file://{folder}/{name}", {}, lambda: (folder / name / KEY).unlink(missing_ok=True)

    _compare(bench, age, "disk", ready, 2)


def small(bench: Bench) -> None:
    """Tables of 1 kB by the agent."""
    age = _Age(bench)
    with bench.minio() as server, tables.agent(bench) as pids:
        url = f"s3://{server.bucket}/"
        configs = {
            PLAIN: bench.config(PLAIN, url + PLAIN, server.options, agent="on"),
            ENCRYPTED: bench.config(ENCRYPTED, url + ENCRYPTED, server.options, agent="on", **age.options),
        }
        for config in configs.values():
            _set_up(bench, config)
        for command in ("backup_data", "restore_data"):
            tables.compare(
                bench,
                f"{command} of 1 kB, encrypted",
                [
                    tables.Crowd(name, tables.plugin(command, config), bench.environment, bench.size // 1024, pids)
                    for name, config in configs.items()
                ],
                [Target("wall", ENCRYPTED, 1.3, PLAIN), Target("cpu", ENCRYPTED, None, PLAIN)],
            )


class _Age:
    """A key pair, and the program `age`."""

    def __init__(self, bench: Bench) -> None:
        identity = new_identity()
        self.identities = bench.folder / "identities"
        self.identities.touch(0o600)
        self.identities.write_text(identity.text + "\n")
        self.recipient = identity.recipient.text
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.program = Path(f"{cache}/fsspec_gp_plugin/bin/age")
        if not self.program.exists():
            raise Skipped("tests/servers/install_age builds age")

    @property
    def options(self) -> dict[str, str]:
        return {"encryption_recipients": self.recipient, "encryption_identity_file": str(self.identities)}


def _set_up(bench: Bench, config: str) -> None:
    """As gpbackup does before the first table: the backup's claim says whether it is encrypted."""
    setup = [str(EXECUTABLE), "setup_plugin_for_backup", config, os.path.dirname(OBJECT), "master", "-1"]
    subprocess.run(setup, env=bench.environment, check=True)


def _s3(direct: Minio, server: Minio) -> Callable[[str], tuple[str, dict[str, Any], Callable[[], None]]]:
    return lambda name: (f"s3://{server.bucket}/{name}", server.options, remover(direct, f"{name}/{KEY}"))


def _compare(
    bench: Bench,
    age: _Age,
    where: str,
    ready: Callable[[str], tuple[str, dict[str, Any], Callable[[], None]]],
    most: float,
) -> None:
    """`ready` gives the URL, the storage options, and what removes the object of the run before."""
    others = {PLAIN: {}, ENCRYPTED: age.options, PIPE: {}}
    places = {name: ready(name.replace(" ", "_")) for name in others}
    configs = {
        name: bench.config(name.replace(" ", "_"), url, options, agent="off", **others[name])
        for name, (url, options, _) in places.items()
    }
    for config in configs.values():
        _set_up(bench, config)
    up = {name: bench.plugin("backup_data", config) for name, config in configs.items()}
    up[PIPE] = ["sh", "-c", f"{age.program} -r {age.recipient} | {shlex.join(up[PIPE])}"]
    bench.compare(
        f"To {where}",
        [
            Task(name, command, bench.environment, feeder=["cat", bench.source()], prepare=places[name][2])
            for name, command in up.items()
        ],
        _targets(where, most),
    )
    down = {name: bench.plugin("restore_data", config) for name, config in configs.items()}
    down[PIPE] = ["sh", "-c", f"{shlex.join(down[PIPE])} | {age.program} -d -i {age.identities}"]
    check = ["cmp", "-", bench.source()]
    bench.compare(
        f"From {where}",
        [Task(name, command, bench.environment, drain=["cat"], checker=check) for name, command in down.items()],
        _targets(where, most),
    )


def _targets(where: str, most: float) -> list[Target]:
    return [
        Target("wall", ENCRYPTED, most, PLAIN),
        Target("wall", ENCRYPTED, 1 if where == "disk" else None, PIPE),
        Target("cpu", ENCRYPTED, None, PLAIN),
        Target("cpu", ENCRYPTED, None, PIPE),
        Target("memory", ENCRYPTED, MEMORY),
    ]
