"""Makes the summary of an encrypted backup: a note about each of gpbackup's files, which this host can read before they
are encrypted, and what the coordinator's manifest has of the notes.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import StorageError
from ..integrity import oid_list
from ..integrity.manifest_packing import PackedSummary
from ..keys import backup_prefix
from ..storage.reading import split_lines
from .backup_summary import config_to_json, report_to_json
from .gpbackup_files import BadBackupConfigError, parse_backup_config, parse_report
from .required import BadContentsError, parse_oids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

_LARGEST_REPORT = 1 << 20
_PIECE = 1 << 20


class NoNoteError(StorageError):
    """The file is not as gpbackup writes it, so nothing can be noted about it."""


def part_of(key: str, timestamp: str) -> str:
    """Which part of a summary a file is about, by its key: the end of its name. "" if it is about none."""
    end = key.removeprefix(f"{backup_prefix(timestamp)}gpbackup_{timestamp}_")
    return end if end in PARTS else ""


def make_note(path: str, part: str) -> bytes:
    """The note about a local file of gpbackup's. Raises NoNoteError, and OSError if it can't be read."""
    with open(path, "rb") as file:
        try:
            values, oids = PARTS[part](os.path.basename(path), file)
        except (BadBackupConfigError, BadContentsError) as error:
            raise NoNoteError(str(error)) from None
    return json.dumps(values).encode() + b"\n" + oids


def _note_report(name: str, file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    report = parse_report(file.read(_LARGEST_REPORT).decode(errors="replace"))
    if not report:
        raise NoNoteError(f"{name} is not gpbackup's report")
    command = report.get("command line", "")
    leaf_data = {"leaf_data": "--leaf-partition-data" in command} if command else {}
    return {"report": report_to_json(report), **leaf_data}, b""


def _note_config(name: str, file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    return {"config": config_to_json(parse_backup_config(name, split_lines(_pieces(file))))}, b""


def _note_tables(name: str, file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    oids = parse_oids(name, split_lines(_pieces(file), 128))
    return {"tables": len(oids)}, oid_list.pack(oids) if len(oids) <= oid_list.MOST else b""


# The ends of the names of gpbackup's files, and what notes each.
PARTS: dict[str, Callable[[str, BinaryIO], tuple[dict[str, Any], bytes]]] = {
    "report": _note_report,
    "config.yaml": _note_config,
    "toc.yaml": _note_tables,
}


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, _PIECE), b"")


def join_notes(notes: Mapping[str, bytes], recipients: Sequence[str]) -> PackedSummary | None:
    """What the notes together say of a backup. None without notes."""
    if not notes:
        return None
    value: dict[str, Any] = {"recipients": list(recipients)}
    oids = b""
    for _, note in sorted(notes.items()):
        line, _, rest = note.partition(b"\n")
        value |= json.loads(line)
        oids = rest or oids
    config, count = value.get("config"), value.get("tables", 0)
    if config is None or config["single_data_file"] or config["metadata_only"]:
        # No object's name shows the tables, so the manifest doesn't either.
        oids = b""
        if count:
            value["tables"] = 1
    return PackedSummary(value, oids, count)
