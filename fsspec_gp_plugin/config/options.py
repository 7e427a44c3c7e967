"""Every key that may stand under `options:`, in one table.

It yields the parser, the messages, and the reference in the README (a test compares the two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..log import VERBOSITIES
from . import s3_plugin
from .values import (
    one_of,
    parse_bandwidth,
    parse_count,
    parse_deadline,
    parse_directory,
    parse_idle,
    parse_limit_of_parts,
    parse_memory,
    parse_name,
    parse_part_size,
    parse_retries,
    parse_switch,
    parse_switched_off,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Option(NamedTuple):
    """One key: how its text is read, what it defaults to, what it means.

    `parse` takes the value as text and raises ValueError with what was expected; `ours` is False for gpbackup's own
    keys, which are accepted and left alone.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = str
    default: Any = None
    default_text: str = "none"
    ours: bool = True


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
    Option("backup_max_concurrent_requests", "parts in flight in one backup stream", parse_count, 4, "`4`"),
    Option("restore_max_concurrent_requests", "ranges in flight in one restore stream", parse_count, 4, "`4`"),
    Option(
        "backup_multipart_chunksize",
        "size of the first parts of a stream; they grow where the store limits their number",
        parse_part_size,
        8 << 20,
        "`8MB`",
    ),
    Option("restore_multipart_chunksize", "size of a read", parse_part_size, 8 << 20, "`8MB`"),
    Option(
        "fixed_part_size",
        "`on`: all parts of a stream have `backup_multipart_chunksize` (Cloudflare R2 wants that)",
        parse_switch,
        default=False,
        default_text="`off`",
    ),
    Option(
        "max_parts",
        "parts that the store takes of one object, where they are fewer than it says (Scaleway: `1000`)",
        parse_limit_of_parts,
        default_text="the store's (S3: `10000`)",
    ),
    Option(
        "memory_limit",
        "buffers of one running stream, two parts at the least ([how it is spent](docs/memory.md))",
        parse_memory,
        128 << 20,
        "`128MB`",
    ),
    Option("max_bandwidth", "bytes a second for one stream, such as `50MB`", parse_bandwidth),
    Option(
        "timeout",
        "how long a request may stand still; the whole of it may take that and what its bytes need at 16 KB/s",
        parse_deadline,
        60.0,
        "`60s`",
    ),
    Option(
        "max_retries",
        "how often a request is repeated after a failure that may pass, within an outage of 5 minutes",
        parse_retries,
        default_text="as often as fit into an outage of 5 minutes",
    ),
    Option(
        "checksum",
        "`crc32c` or `off`: computed of every stream, kept in [manifests](docs/integrity.md) beside the backup, "
        "compared on restore; parts are protected on their way in any case",
        one_of("crc32c", "off"),
        "crc32c",
        "`crc32c`",
    ),
    Option(
        "agent",
        "`on`: the setup hooks start a warm process on each host that does the work of the others "
        "([how](docs/agent.md)); `off`: each does its own",
        parse_switch,
        default=True,
        default_text="`on`",
    ),
    Option("agent_memory_limit", "buffers of all streams of the warm process together", parse_memory, 2 << 30, "`2GB`"),
    Option("agent_idle", "how long the warm process stays when no run needs it", parse_idle, 10.0, "`10s`"),
    Option(
        "logger_verbosity",
        "what goes to the log: `error`, `info`, `verbose` or `debug`",
        one_of(*VERBOSITIES),
        "info",
        "`info`",
    ),
    Option(
        "cluster",
        "a name for this cluster, where [several share a `url`](docs/clusters.md): it counts instead of the database's "
        "system identifier and the coordinator's host and directory",
        parse_name,
        default="",
        default_text="none",
    ),
    Option(
        "state_directory",
        "the absolute path of a directory of this user alone on each host, for journals, catalogs and notes; "
        "`${NAME}` is taken from the environment",
        parse_directory,
        default="",
        default_text="`~/.fsspec_gp_plugin`",
    ),
    Option(
        "restore_incomplete",
        "`on`: restore what there is of a backup that lacks objects, as with filters; what is missing goes to the log",
        parse_switch,
        default=False,
        default_text="`off`",
    ),
    Option(
        "replica_url",
        "a [second target](docs/replicas.md), to which `replicate_backup` copies, and from which a restore reads "
        "what the first lacks, or all where that is out of reach",
    ),
    Option("replica_storage_options", "as `storage_options`, of the second target", default="", default_text="empty"),
    Option("replica_storage_options_file", "as `storage_options_file`, of the second target"),
    *(
        Option(name, "the S3 plugin's: a configuration of that plugin works as it is", ours=False)
        for name in s3_plugin.NAMES
    ),
    Option("restore_subset", "gprestore's own: use `restore_data_subset`", ours=False),
    Option(
        "password_encryption",
        "gpbackup's own: `on` makes it pass the key of [encrypted values](docs/security.md#encrypted-values)",
        parse_switch,
        ours=False,
    ),
    Option("replication", "gpbackup's own", ours=False),
    Option("remote_password_encryption", "gpbackup's own", parse_switched_off, ours=False),
    Option("pgport", "gpbackup's own", default="", ours=False),
    Option("backup_plugin_version", "gpbackup's own", ours=False),
    Option("fsspec_gp_plugin", "gpbackup's own: the key of encrypted passwords", ours=False),
)

BY_NAME = {option.name: option for option in OPTIONS}


def reference() -> str:
    """The option table of the README, in Markdown."""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{option.name}` | {option.default_text} | {_cell(option.meaning)} |" for option in OPTIONS if option.ours
    ]
    lines.append("| `password_encryption` | `off` | " + BY_NAME["password_encryption"].meaning + " |")
    lines.append(
        f"| {_names(s3_plugin.NAMES)} | | the S3 plugin's: [a configuration of that plugin](docs/migration.md) works |"
    )
    for parse, meaning in ((str, "accepted and left alone"), (parse_switched_off, "only `off` in this version")):
        theirs = [option.name for option in OPTIONS if not option.ours and option.parse is parse]
        lines.append(
            f"| {_names(name for name in theirs if name not in s3_plugin.NAMES)} | | gpbackup's own: {meaning} |"
        )
    return "\n".join(lines)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
