"""The files of backups that a real gpbackup has made of one small database, in `gpbackup_files.tar.gz`.

One folder a backup: a chain of incremental ones upon a full one, and one with a single data file for each segment,
packed by zstd.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = ("20261127013117", "20261127013121", "20261127013124", "20261127013127")
SINGLE_DATA_FILE = "20261127013055"
_UNPACK = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-dc"]}


def extract_files(folder: Path) -> None:
    """Put the folders of all backups below a folder."""
    with tarfile.open(Path(__file__).with_suffix(".tar.gz")) as archive:
        for member in archive.getmembers():
            if member.isfile():
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())


def read_rows(folder: Path, timestamp: str) -> dict[str, list[str]]:
    """The rows that the restore of a backup brings, by table, sorted."""
    rows: dict[str, list[str]] = {}
    for step in _load(folder, timestamp, "config.yaml")["restoreplan"]:
        contents = _load(folder, step["timestamp"], "toc.yaml")
        for entry in contents["dataentries"]:
            if f"{entry['schema']}.{entry['name']}" in step["tablefqns"]:
                table = f"{entry['schema']}.{entry['partitionroot'] or entry['name']}"
                segments = [0] if entry["isreplicated"] else [0, 1]
                found = [_read_segment(folder, step["timestamp"], one, entry["oid"]) for one in segments]
                rows[table] = sorted([*rows.get(table, []), *"".join(found).splitlines()])
    return rows


def _load(folder: Path, timestamp: str, end: str) -> Any:
    return yaml.safe_load((folder / timestamp / f"gpbackup_{timestamp}_{end}").read_text())


def _read_segment(folder: Path, timestamp: str, content: int, oid: int) -> str:
    stem = f"gpbackup_{content}_{timestamp}"
    if offsets := sorted((folder / timestamp).glob(f"{stem}_toc.yaml")):
        place = yaml.safe_load(offsets[0].read_text())["dataentries"][oid]
        return next(_unpack(folder / timestamp, stem))[place["startbyte"] : place["endbyte"]].decode()
    return next(_unpack(folder / timestamp, f"{stem}_{oid}")).decode()


def _unpack(folder: Path, stem: str) -> Iterator[bytes]:
    for path in folder.glob(f"{stem}.*"):
        yield subprocess.run([*_UNPACK[path.suffix], path], capture_output=True, check=True).stdout
