"""Streams to and from a local disk beside `cat`, one long stream whose memory is watched, and one of as many parts as
there may be.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.bench import KEY, MEMORY, ROOT, Bench
from benchmarks.measure import Target, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENERATOR = str(ROOT / "benchmarks/generator.py")
# What lets MinIO compress all that it stores.
COMPRESSION = {"MINIO_COMPRESSION_ENABLE": "on", "MINIO_COMPRESSION_MIME_TYPES": "*"}
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
    with bench.minio() as server:
        config = bench.config("plain", f"s3://{server.bucket}/bench", server.options)
        _up_and_down(bench, config)


def parts(bench: Bench) -> None:
    """A stream in equal parts of 5 MiB, the smallest that S3 takes, which MinIO compresses."""
    bench.needs(bench.size // 10)
    with bench.minio(variables=COMPRESSION) as server:
        fixed = {"backup_multipart_chunksize": "5MB", "fixed_part_size": "on", "agent": "off"}
        config = bench.config("plain", f"s3://{server.bucket}/bench", server.options, **fixed)
        _up_and_down(bench, config, "4096")
        etag = server.filesystem().info(f"{server.bucket}/bench/{KEY}")["ETag"]
        print(f"  parts: {etag.strip(chr(34)).partition('-')[2]}; on disk: {_size(bench.folder) >> 20} MiB", flush=True)


def _up_and_down(bench: Bench, config: str, *random: str) -> None:
    digest = bench.folder / "digest"
    generator = [sys.executable, "-I", "-S", GENERATOR, str(bench.size), str(digest), *random]
    up = Task("backup_data", bench.plugin("backup_data", config), bench.environment, feeder=generator)
    check = ["sh", "-c", f'test "$(sha256sum)" = "$(cat {digest})  -"']
    down = Task("restore_data", bench.plugin("restore_data", config), bench.environment, drain=check)
    for title, task in (("To MinIO, memory", up), ("From MinIO, memory and SHA-256", down)):
        bench.compare(title, [task], [Target("memory", task.name, MEMORY)], warm=False)


def _size(folder: Path) -> int:
    """Bytes of disk that the files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
