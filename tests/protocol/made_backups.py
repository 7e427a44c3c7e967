"""A backup with a manifest, as gpbackup makes it, and what may happen to its objects."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store
    from tests.protocol.caller import Database, Plugin
    from tests.protocol.conftest import Target

T = "20260102030405"
PREFIX = f"backups/20260102/{T}/"


def call_hook(plugin: Plugin, name: str) -> None:
    """Call a hook as the coordinator does. Those of the other scopes do the same, or less; each call costs."""
    plugin.run(name, plugin.database.directory(-1), "master").succeeded()


def back_up(plugin: Plugin, tables: dict[str, bytes]) -> None:
    """Make a backup as gpbackup does."""
    database = plugin.database
    for path, data in tables.items():
        plugin.run("backup_data", path, stdin=data).succeeded()
    for name in ("toc.yaml", "report"):
        file = Path(database.file(f"gpbackup_{T}_{name}", -1))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        plugin.run("backup_file", str(file)).succeeded()
    call_hook(plugin, "cleanup_plugin_for_backup")


def change_object(target: Target, key: str, change: Callable[[bytes], bytes]) -> None:
    """Replace an object by other bytes, as bit rot or an intruder does."""
    with target.store() as store:
        store.put(key, memoryview(change(_content(store, store.stat(key)))))


def manifests(target: Target) -> list[list[Any]]:
    """The lines of each manifest at the target."""
    with target.store() as store:
        listed = (info for info in store.find(f"{PREFIX}fsspec_gp_plugin/") if info.key.endswith(".manifest.gz"))
        found = sorted(listed, key=lambda info: info.key)
        texts = [gzip.decompress(_content(store, info)) for info in found]
    return [[json.loads(line) for line in text.splitlines()] for text in texts]


def _content(store: Store, info: ObjectInfo) -> bytes:
    data = bytearray(info.size)
    for _ in store.read(info, 0, memoryview(data)):
        pass
    return bytes(data)


def flipped(data: bytes) -> bytes:
    """The same bytes but for one bit in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def kept(database: Database) -> list[str]:
    """The files that a host keeps of backups and restores, below its state directory, but for the notes on runs."""
    root = database.folder / "home" / ".fsspec_gp_plugin"
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not {"agent", "runs"} & set(path.parts)
    )
