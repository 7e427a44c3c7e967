"""Every key that may stand under `options:`, in one table.

It makes the parser, the messages, and the table in docs/configuration.md (a test compares the two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..log import VERBOSITIES
from . import s3_plugin
from .key_options import parse_identity_file, parse_recipients_option
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
        "the fsspec URL below which all backups are stored: `s3://bucket/prefix`, `file:///directory`, or any other "
        "protocol of fsspec. Chained URLs (`simplecache::…`) are refused",
        default_text="required",
    ),
    Option(
        "storage_options",
        "options for the fsspec filesystem: a YAML or JSON mapping, written as text (a block scalar, `|`)",
        default="",
        default_text="empty",
    ),
    Option(
        "storage_options_file",
        "the path of a file on each host with such a mapping; its values override those of `storage_options`. The file "
        "must belong to the user and be closed to others (mode 0600). Secrets belong here",
    ),
    Option(
        "backup_max_concurrent_requests",
        "maximum number of parts that one backup stream sends at the same time, 1 to 64",
        parse_count,
        4,
        "`4`",
    ),
    Option(
        "restore_max_concurrent_requests",
        "maximum number of ranges that one restore stream receives at the same time, 1 to 64",
        parse_count,
        4,
        "`4`",
    ),
    Option(
        "backup_multipart_chunksize",
        "size of the first parts of a stream, 64 KB to 5 GB. Later parts are larger if the store limits their number",
        parse_part_size,
        8 << 20,
        "`8MB`",
    ),
    Option("restore_multipart_chunksize", "size of a range, 64 KB to 5 GB", parse_part_size, 8 << 20, "`8MB`"),
    Option(
        "fixed_part_size",
        "`on`: all parts of a stream have the size `backup_multipart_chunksize` (Cloudflare R2 requires this)",
        parse_switch,
        default=False,
        default_text="`off`",
    ),
    Option(
        "max_parts",
        "maximum number of parts per object, if your store allows fewer than the default (Scaleway: `1000`)",
        parse_limit_of_parts,
        default_text="the store's (S3: `10000`)",
    ),
    Option(
        "memory_limit",
        "memory for the buffers of one running stream; a stream always gets at least two buffers "
        "([how it is used](memory.md))",
        parse_memory,
        128 << 20,
        "`128MB`",
    ),
    Option("max_bandwidth", "maximum number of bytes per second of one stream, such as `50MB`", parse_bandwidth),
    Option(
        "timeout",
        "abort a request after this long without progress. Its total limit is this plus its size divided by 16 KB/s",
        parse_deadline,
        60.0,
        "`60s`",
    ),
    Option(
        "max_retries",
        "maximum retries of a request after a transient error. Retries also end after "
        "[a time limit](failures.md#what-is-retried): 5½ minutes for data",
        parse_retries,
        default_text="as many as fit into the time limit",
    ),
    Option(
        "checksum",
        "`crc32c`: compute a checksum of every stream, keep it in a [manifest](integrity.md) beside the backup, and "
        "compare it on restore. `off`: don't. Each part is protected on its way in both cases",
        one_of("crc32c", "off"),
        "crc32c",
        "`crc32c`",
    ),
    Option(
        "encryption_recipients",
        "encrypts backups ([how](encryption.md)) so that only the identities of these age recipients open them: "
        "recipients `age1…` separated by blanks, or the absolute path of a file on each host with one a line. It "
        "requires `checksum: crc32c`",
        parse_recipients_option,
        default="",
    ),
    Option(
        "encryption_metadata_recipients",
        "further recipients of the coordinator's files (table of contents, metadata, report, configuration), and never "
        "of table data: their identity may stay on the coordinator, for incremental backups",
        parse_recipients_option,
        default="",
    ),
    Option(
        "encryption_identity_file",
        "the absolute path of a file on each host with the identities (`AGE-SECRET-KEY-1…`, one a line) that open "
        "encrypted backups. Only a restore needs it, and an incremental backup on the coordinator. The file must "
        "belong to the user and be closed to others (mode 0600)",
        parse_identity_file,
        default="",
    ),
    Option(
        "agent",
        "`on`: the setup hooks start a warm process on each host, which does the work of the other commands "
        "([how](agent.md)). `off`: each command does its own work",
        parse_switch,
        default=True,
        default_text="`on`",
    ),
    Option(
        "agent_memory_limit",
        "memory for the buffers of all streams of one agent together",
        parse_memory,
        2 << 30,
        "`2GB`",
    ),
    Option("agent_idle", "how long the agent stays when no backup or restore needs it", parse_idle, 10.0, "`10s`"),
    Option(
        "logger_verbosity",
        "what is written to the log: `error`, `info`, `verbose` or `debug`",
        one_of(*VERBOSITIES),
        "info",
        "`info`",
    ),
    Option(
        "cluster",
        "a name for this cluster, if [several clusters share a `url`](clusters.md). It is used instead of the "
        "database's system identifier and the coordinator's host and directory",
        parse_name,
        default="",
        default_text="none",
    ),
    Option(
        "state_directory",
        "the absolute path of a directory on each host that only this user can read, for journals, catalogs and "
        "records of runs. `${NAME}` is replaced from the environment",
        parse_directory,
        default="",
        default_text="`~/.fsspec_gp_plugin`",
    ),
    Option(
        "restore_incomplete",
        "`on`: restore a backup although objects are missing, for example with filters. The log names what is missing",
        parse_switch,
        default=False,
        default_text="`off`",
    ),
    Option(
        "replica_url",
        "the URL of a [second target](replicas.md). `replicate_backup` copies backups to it; a restore reads from it "
        "what the primary lacks, or everything if the primary is out of reach",
    ),
    Option("replica_storage_options", "like `storage_options`, for the replica", default="", default_text="empty"),
    Option("replica_storage_options_file", "like `storage_options_file`, for the replica"),
    *(
        Option(name, "the S3 plugin's: a configuration of that plugin works as it is", ours=False)
        for name in s3_plugin.NAMES
    ),
    Option("restore_subset", "gprestore's own: use `restore_data_subset`", ours=False),
    Option(
        "password_encryption",
        "gpbackup's own: `on` makes gpbackup pass the key of [encrypted values](security.md#encrypted-values)",
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
    """The option table of docs/configuration.md, in Markdown."""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{option.name}` | {option.default_text} | {_cell(option.meaning)} |" for option in OPTIONS if option.ours
    ]
    lines.append("| `password_encryption` | `off` | " + BY_NAME["password_encryption"].meaning + " |")
    lines.append(
        f"| {_names(s3_plugin.NAMES)} | | the S3 plugin's: [a configuration of that plugin](migration.md) works |"
    )
    for parse, meaning in ((str, "accepted and ignored"), (parse_switched_off, "only `off` is accepted")):
        theirs = [option.name for option in OPTIONS if not option.ours and option.parse is parse]
        lines.append(
            f"| {_names(name for name in theirs if name not in s3_plugin.NAMES)} | | gpbackup's own: {meaning} |"
        )
    return "\n".join(lines)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
