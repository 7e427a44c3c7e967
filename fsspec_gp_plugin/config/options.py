"""Every key that may stand under `options:`, in one table.

It yields the parser, the messages, the reference in the README (a test compares the two) and what is
refused because its feature does not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..log import VERBOSITIES
from .units import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Option:
    """One key: how its text is read, what it defaults to, what it means.

    `parse` takes the value as text and raises ValueError with what was expected. `planned` marks a key
    that is known and refused; `ours` is False for gpbackup's own keys, which are accepted and left alone.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = str
    default: Any = None
    default_text: str = "none"
    planned: str = ""
    ours: bool = True


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError("expected a whole number from 1 to 64")
    return int(text)


def _part_size(text: str) -> int:
    size = parse_size(text)
    if not 1 << 16 <= size <= 5 << 30:
        raise ValueError("expected a size from 64KB to 5GB")
    return size


def _switched_off(text: str) -> str:
    if text not in ("off", "false", "no", ""):
        raise ValueError("is not yet supported: remove it or set it to off")
    return text


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return text

    return parse


OPTIONS: tuple[Option, ...] = (
    Option(
        "url",
        "fsspec URL of the root of all backups: `s3://bucket/prefix`, `file:///directory`, any protocol "
        "that fsspec knows; chained ones (`simplecache::…`) excepted",
        default_text="required",
    ),
    Option(
        "storage_options",
        "text (a block scalar, `|`) holding a YAML or JSON mapping, handed to the fsspec filesystem",
        default="",
        default_text="empty",
    ),
    Option(
        "storage_options_file",
        "the same mapping from a file on each host, laid over `storage_options`; refused unless owned by "
        "the user and closed to others. Where secrets belong",
    ),
    Option("backup_max_concurrent_requests", "parts in flight in one backup stream", _count, 4, "`4`"),
    Option("restore_max_concurrent_requests", "ranges in flight in one restore stream", _count, 4, "`4`"),
    Option(
        "backup_multipart_chunksize",
        "size of the first parts of a stream; they grow where the store limits their number",
        _part_size,
        8 << 20,
        "`8MB`",
    ),
    Option("restore_multipart_chunksize", "size of a read", _part_size, 8 << 20, "`8MB`"),
    Option(
        "logger_verbosity",
        "what goes to the log: `error`, `info`, `verbose` or `debug`",
        _one_of(*VERBOSITIES),
        "info",
        "`info`",
    ),
    *(
        Option(name, meaning, planned="is not yet supported: remove it")
        for name, meaning in (
            ("fixed_part_size", "all parts of equal size"),
            ("max_parts", "the store's limit of parts"),
            ("memory_limit", "buffers of one running stream"),
            ("max_bandwidth", "bytes a second for one stream"),
            ("timeout", "a deadline on each request"),
            ("max_retries", "how often a request is repeated"),
            ("checksum", "what is computed on backup and checked on restore"),
            ("agent", "the warm process"),
            ("agent_memory_limit", "buffers of all streams of the warm process"),
            ("replica_url", "a second target"),
            ("replica_storage_options", "the second target's options"),
            ("replica_storage_options_file", "the second target's options from a file"),
        )
    ),
    *(
        Option(name, "the S3 plugin's", planned=f"belongs to the S3 plugin and is not yet supported: {instead}")
        for name, instead in (
            ("bucket", "write it in `url: s3://BUCKET/FOLDER`"),
            ("folder", "write it in `url: s3://BUCKET/FOLDER`"),
            ("region", "put `client_kwargs: {region_name: …}` in storage_options"),
            ("endpoint", "put `endpoint_url: …` in storage_options"),
            ("aws_access_key_id", "put `key: …` in storage_options"),
            ("aws_secret_access_key", "put `secret: …` in storage_options"),
            ("encryption", "write `http://` or `https://` in the `endpoint_url` of storage_options"),
            ("http_proxy", "put `config_kwargs: {proxies: …}` in storage_options"),
            ("remove_duplicate_bucket", "remove it"),
        )
    ),
    Option("restore_subset", "gprestore's own: use `restore_data_subset`", ours=False),
    Option("password_encryption", "gpbackup's own", _switched_off, ours=False),
    Option("replication", "gpbackup's own", ours=False),
    Option("remote_password_encryption", "gpbackup's own", _switched_off, ours=False),
    Option("pgport", "gpbackup's own", ours=False),
    Option("backup_plugin_version", "gpbackup's own", ours=False),
    Option("fsspec_gp_plugin", "gpbackup's own: the key of encrypted passwords", ours=False),
)

BY_NAME = {option.name: option for option in OPTIONS}


def reference() -> str:
    """The option table of the README, in Markdown."""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{option.name}` | {option.default_text} | {_cell(option.meaning)} |"
        for option in OPTIONS
        if option.ours and not option.planned
    ]
    for parse, meaning in ((str, "accepted and left alone"), (_switched_off, "only `off` in this version")):
        theirs = ", ".join(f"`{option.name}`" for option in OPTIONS if not option.ours and option.parse is parse)
        lines.append(f"| {theirs} | | gpbackup's own: {meaning} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
