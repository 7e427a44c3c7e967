"""Streams to and from a local disk beside `cat`, and one long stream whose memory is watched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.bench import KEY, MEMORY, ROOT, Bench
from benchmarks.measure import Target, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENERATOR = str(ROOT / "benchmarks/generator.py")
CHECKSUMS = {"off": 1.3, "crc32c": 1.6}


def disk(bench: Bench) -> None:
    """`file://` beside `cat`, both synced, the source in the page cache."""
    bench.needs(4 * bench.size)
    source, target = bench.source(), bench.folder / "target"
    kept, copy, out = target / KEY, bench.folder / "copy", bench.folder / "out"
    target.mkdir()
    configs = {name: bench.config(name, f"file://{target}", checksum=name) for name in CHECKSUMS}

    def tasks(command: str, name: str, peer: list[str], make: Callable[..., Task]) -> list[Task]:
        ours = [make(f"{command}, checksum {name}", bench.plugin(command, config)) for name, config in configs.items()]
        return [*ours, make(name, peer)]

    def targets(command: str, peer: str) -> list[Target]:
        walls = [Target("wall", f"{command}, checksum {name}", most, peer) for name, most in CHECKSUMS.items()]
        return [*walls, *(Target("memory", target.task, MEMORY) for target in walls)]

    def backup(name: str, command: list[str]) -> Task:
        made = kept if name.startswith("backup_data") else copy
        return Task(
            name,
            command,
            bench.environment,
            feeder=["cat", source],
            prepare=lambda: _ready(bench.folder / "source", gone=made),
        )

    peer = "cat, sync"
    bench.compare(
        "To disk",
        tasks("backup_data", peer, ["sh", "-c", f"cat > {copy} && sync {copy}"], backup),
        targets("backup_data", peer),
    )

    def restore(name: str, command: list[str], drain: tuple[str, ...] = ("cat",)) -> Task:
        read = kept if name.startswith("restore_data") else copy
        return Task(
            name,
            command,
            bench.environment,
            drain=drain,
            checker=["cmp", "-", source],
            prepare=lambda: _ready(read, gone=out),
        )

    def restore_synced(name: str, command: list[str]) -> Task:
        return restore(name, command, ("sh", "-c", f"cat > {out} && sync {out}"))

    cat = ["cat", str(copy)]
    bench.compare("From disk", tasks("restore_data", "cat", cat, restore), targets("restore_data", "cat"))
    bench.compare(
        "From disk to a file, synced",
        tasks("restore_data", peer, cat, restore_synced),
        targets("restore_data", peer),
    )


def _ready(read: Path, gone: Path) -> None:
    """Before each run: what it reads is in the page cache, what it writes is not there."""
    gone.unlink(missing_ok=True)
    with open(read, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def memory(bench: Bench) -> None:
    """One long stream up and down; its SHA-256 on both sides."""
    bench.needs(bench.size + bench.size // 8)
    digest = bench.folder / "digest"
    with bench.minio() as server:
        config = bench.config("plain", f"s3://{server.bucket}/bench", server.options)
        generator = [sys.executable, "-I", "-S", GENERATOR, str(bench.size), str(digest)]
        up = Task("backup_data", bench.plugin("backup_data", config), bench.environment, feeder=generator)
        check = ["sh", "-c", f'test "$(sha256sum)" = "$(cat {digest})  -"']
        down = Task("restore_data", bench.plugin("restore_data", config), bench.environment, drain=check)
        for title, task in (("To MinIO, memory", up), ("From MinIO, memory and SHA-256", down)):
            bench.compare(title, [task], [Target("memory", task.name, MEMORY)], warm=False)
