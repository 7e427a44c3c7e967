"""Streams to and from MinIO: beside its own client, over TLS, through a link like a cloud's, and in small ranges."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from benchmarks.bench import DELAY, KEY, MEMORY, RATE, Bench, Peer, Skipped, link, remover
from benchmarks.measure import Target, Task
from benchmarks.tables import agent

if TYPE_CHECKING:
    from tests.servers.minio import Minio

LINK = f"{RATE}/s and {DELAY} ms a connection"
RANGES = 5000
RANGE = 2048


def plain(bench: Bench) -> None:
    """`backup_data` beside `mc pipe`, `restore_data` beside `mc cat`."""
    bench.needs(4 * bench.size)
    with bench.minio() as server:
        _beside_mc(bench, server, "MinIO")


def tls(bench: Bench) -> None:
    """The same, encrypted: a quarter more is allowed."""
    bench.needs(4 * bench.size)
    with bench.minio(tls=True) as server:
        _beside_mc(bench, server, "MinIO over TLS", slack=1.25)


def _beside_mc(bench: Bench, server: Minio, where: str, slack: float = 1.0) -> None:
    peer, config = Peer.of(bench, server), _config(bench, server, "plain")
    bench.compare(
        f"To {where}",
        [
            Task("backup_data", bench.plugin("backup_data", config), bench.environment, **_up(bench, server, "plain")),
            Task("mc pipe", peer.command("pipe"), peer.environment, **_up(bench, server)),
        ],
        [
            Target("wall", "backup_data", 0.75 * slack, "mc pipe"),
            Target("cpu", "backup_data", 0.9 * slack, "mc pipe"),
            Target("memory", "backup_data", MEMORY),
        ],
    )
    bench.compare(
        f"From {where}",
        [
            Task("restore_data", bench.plugin("restore_data", config), bench.environment, **_down(bench)),
            Task("mc cat", peer.command("cat"), peer.environment, **_down(bench)),
        ],
        [
            Target("wall", "restore_data", 1.25 * slack, "mc cat"),
            Target("cpu", "restore_data", 1.5 * slack, "mc cat"),
            Target("memory", "restore_data", MEMORY),
        ],
    )


def cloud(bench: Bench) -> None:
    """Every connection with a rate and a delay: what parallel requests are for."""
    bench.needs(5 * bench.size)
    with bench.minio() as direct, link(direct) as server:
        peer = Peer.of(bench, server)
        one = {"backup_max_concurrent_requests": "1", "restore_max_concurrent_requests": "1"}
        configs = {"parallel": _config(bench, server, "parallel"), "one": _config(bench, server, "one", **one)}
        tasks = [
            Task(
                f"backup_data, {name}",
                bench.plugin("backup_data", config),
                bench.environment,
                **_up(bench, direct, name),
            )
            for name, config in configs.items()
        ]
        bench.compare(
            f"To MinIO, {LINK}",
            [*tasks, Task("mc pipe", peer.command("pipe"), peer.environment, **_up(bench, direct))],
            [
                Target("wall", "backup_data, parallel", 3, "backup_data, one", faster=True),
                Target("wall", "backup_data, parallel", None, "mc pipe", faster=True),
                Target("memory", "backup_data, parallel", MEMORY),
            ],
        )
        tasks = [
            Task(f"restore_data, {name}", bench.plugin("restore_data", config), bench.environment, **_down(bench))
            for name, config in configs.items()
        ]
        bench.compare(
            f"From MinIO, {LINK}",
            [*tasks, Task("mc cat", peer.command("cat"), peer.environment, **_down(bench))],
            [
                Target("wall", "restore_data, parallel", 3, "restore_data, one", faster=True),
                Target("wall", "restore_data, parallel", 2.5, "mc cat", faster=True),
                Target("memory", "restore_data, parallel", MEMORY),
            ],
        )


def by_agent(bench: Bench) -> None:
    """One stream through the agent beside the same without it; then eight at once."""
    bench.needs(4 * bench.size)
    with bench.minio() as server, agent(bench):
        config = _config(bench, server, "plain", agent="on")
        off = _config(bench, server, "alone", agent="off")
        for command, sides in (("backup_data", _up), ("restore_data", lambda *_: _down(bench))):
            bench.compare(
                f"{command} with MinIO",
                [
                    Task(
                        "by the agent",
                        bench.plugin(command, config),
                        bench.environment,
                        **sides(bench, server, "plain"),
                    ),
                    Task("alone", bench.plugin(command, off), bench.environment, **sides(bench, server, "alone")),
                ],
                [Target("wall", "by the agent", 1.05, "alone")],
            )


def subset(bench: Bench) -> None:
    """Small ranges of one object, far apart or in clusters; MinIO counts the requests."""
    if bench.size < 8 * RANGE * RANGES:
        raise Skipped(f"{RANGES} ranges of {RANGE} bytes want {8 * RANGE * RANGES >> 20} MB or more")
    bench.needs(2 * bench.size)
    with bench.minio() as direct:
        config = _config(bench, direct, "plain")
        send = Task(
            "backup_data", bench.plugin("backup_data", config), bench.environment, feeder=["cat", bench.source()]
        )
        bench.compare("The object of the ranges", [send], warm=False)
        _ranges(bench, direct, config, "MinIO")
        with link(direct) as server:
            _ranges(bench, direct, _config(bench, server, "plain"), f"MinIO, {LINK}")


def _ranges(bench: Bench, counted: Minio, config: str, where: str) -> None:
    def task(name: str, command: list[str], checker: list[str]) -> Task:
        return Task(
            name,
            command,
            bench.environment,
            drain=["cat"],
            checker=checker,
            counter=lambda: counted.requests("GetObject"),
        )

    stride = bench.size // RANGES
    near = min(8 * RANGE, stride)
    layouts = {
        f"{RANGES} ranges every {stride // 1024} KiB": [stride * number for number in range(RANGES)],
        f"{RANGES} ranges in clusters of 50": [
            stride * (number - number % 50) + near * (number % 50) for number in range(RANGES)
        ],
    }
    tasks: list[Task] = []
    for name, starts in layouts.items():
        offsets, wanted = bench.folder / f"offsets{len(tasks)}", hashlib.sha256()
        offsets.write_text(f"{RANGES} " + " ".join(f"{start} {start + RANGE}" for start in starts))
        with open(bench.source(), "rb") as file:
            for start in starts:
                file.seek(start)
                wanted.update(file.read(RANGE))
        check = ["sh", "-c", f"sha256sum | grep -q '^{wanted.hexdigest()} '"]
        tasks.append(task(name, bench.plugin("restore_data_subset", config, str(offsets)), check))
    tasks.append(task("the whole object", bench.plugin("restore_data", config), ["cmp", "-", bench.source()]))
    targets = [Target("memory", task.name, MEMORY) for task in tasks]
    bench.compare(f"restore_data_subset from {where}", tasks, targets)


def _config(bench: Bench, server: Minio, name: str, **others: str) -> str:
    return bench.config(name, f"s3://{server.bucket}/{name}", server.options, **others)


def _up(bench: Bench, server: Minio, name: str = "") -> dict[str, Any]:
    """How a stream is sent: what feeds it, and the removal of the object of the run before."""
    return {"feeder": ["cat", bench.source()], "prepare": remover(server, f"{name}/{KEY}" if name else "peer")}


def _down(bench: Bench) -> dict[str, Any]:
    return {"drain": ["cat"], "checker": ["cmp", "-", bench.source()]}
