"""Table data: streams from standard input and to standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import keys
from ..errors import LocalFileError
from ..transfer.spans import parse_offsets
from .claiming import require_not_refused
from .comparing import log_note, read_expected
from .journaling import store_and_journal
from .restore_source import store_of_object

if TYPE_CHECKING:
    from .context import Context


def backup_data(context: Context, path: str) -> None:
    """Store standard input as the object of that path."""
    key = keys.object_key(path)
    require_not_refused(context, path)
    sent = store_and_journal(context, key, lambda: context.send(context.streams.stdin, key))
    context.log_success(key, sent.size, sent.crc32c)


def restore_data(context: Context, path: str) -> None:
    """Write the object of that path to standard output."""
    key = keys.object_key(path)
    wanted = read_expected(context, key)
    store = store_of_object(context, key)
    written = context.download(store, context.streams.stdout).write_whole(key, wanted)
    context.log_success(key, written.size, written.crc32c, log_note(context, wanted))


def restore_data_subset(context: Context, path: str, offsets_path: str) -> None:
    """Write those byte ranges of the object that the offsets file names, in its order."""
    key = keys.object_key(path)
    try:
        with open(offsets_path, encoding="ascii", errors="replace") as file:
            spans = parse_offsets(file.read())
    except OSError as error:
        raise LocalFileError(f"can't read the offsets file {offsets_path}: {error.strerror}") from error
    store = store_of_object(context, key)
    written = context.download(store, context.streams.stdout).write_ranges(key, spans, read_expected(context, key))
    context.log_success(f"{key}, {len(spans)} ranges", written.size)
