"""Table data: streams from standard input and to standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import keys
from ..errors import LocalFileError
from ..transfer.spans import parse_offsets
from .claiming import require_not_refused
from .comparing import expected, verdict
from .journaling import recorded
from .restore_source import source_of

if TYPE_CHECKING:
    from .context import Context


def backup_data(context: Context, path: str) -> None:
    """Store standard input as the object of that path."""
    key = keys.object_key(path)
    require_not_refused(context, path)
    sent = recorded(context, key, lambda: context.send(context.streams.stdin, key))
    context.done(key, sent.size, sent.crc32c)


def restore_data(context: Context, path: str) -> None:
    """Write the object of that path to standard output."""
    key = keys.object_key(path)
    wanted = expected(context, key)
    store = source_of(context, key)
    written = context.download(store, context.streams.stdout).whole(key, wanted)
    context.done(key, written.size, written.crc32c, verdict(context, wanted))


def restore_data_subset(context: Context, path: str, offsets_path: str) -> None:
    """Write those byte ranges of the object that the offsets file names, in its order."""
    key = keys.object_key(path)
    try:
        with open(offsets_path, encoding="ascii", errors="replace") as file:
            spans = parse_offsets(file.read())
    except OSError as error:
        raise LocalFileError(f"can't read the offsets file {offsets_path}: {error.strerror}") from error
    store = source_of(context, key)
    written = context.download(store, context.streams.stdout).spans(key, spans, expected(context, key))
    context.done(f"{key}, {len(spans)} ranges", written.size)
