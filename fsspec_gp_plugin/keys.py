"""Builds and reads object keys: where everything lies below the configured URL.

A key is relative to the URL, without a leading slash. The layout is the S3 plugin's, so that each plugin
restores what the other wrote: `backups/YYYYMMDD/YYYYMMDDHHMMSS/<file name>`.
"""

from __future__ import annotations

import os
import re

from .errors import UsageError

# All that gpbackup stores lies below it.
BACKUPS = "backups/"

_TIMESTAMP = re.compile(r"[0-9]{14}")
_BACKUP_TAIL = re.compile(r"(?:^|/)(backups/[0-9]{8}/[0-9]{14})$")
_LOCAL_RUN = re.compile(r"^(?:(.*)/)?backups/[0-9]{8}/([0-9]{14})(?:/[^/]*)?$")
_PLUGIN_CONFIG = re.compile(r"(?:^|/)gpbackup_[0-9]{14}_plugin_config\.yaml$")
_UNFINISHED = re.compile(r"(?:^|/)\.[^/]+\.[0-9a-f]{12}\.part$")


def object_key(path: str) -> str:
    """The key of a backup file, given its path on any host: its last four parts.

    Only these identify a file: gprestore may ask, in one segment's directory, for another's file.

    >>> object_key("/data/gpseg0/backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz")
    'backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz'
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    key = "/".join(parts[-4:])
    folder, _, name = key.rpartition("/")
    if not _is_backup(folder) or name == ".." or path.endswith("/"):
        raise UsageError(f"{path!r} is not the path of a backup file: expected …/backups/YYYYMMDD/YYYYMMDDHHMMSS/FILE")
    return key


def backup_prefix(timestamp: str) -> str:
    """The prefix of one backup's objects. It ends in "/", so no sibling that begins alike is touched."""
    if not _TIMESTAMP.fullmatch(timestamp):
        raise UsageError(f"{timestamp!r} is not a backup's timestamp: expected 14 digits, YYYYMMDDHHMMSS")
    return f"backups/{timestamp[:8]}/{timestamp}/"


def is_backup_prefix(prefix: str) -> bool:
    """Whether it is the prefix of one backup's objects."""
    return prefix.endswith("/") and _is_backup(prefix[:-1])


def timestamp_of(key: str) -> str:
    """The timestamp of the backup to which an object, or a prefix, belongs."""
    return key.split("/")[2]


def parts_of(key: str) -> tuple[str, str, str]:
    """The prefix and the timestamp of the backup that an object belongs to, and its name below the prefix."""
    timestamp = timestamp_of(key)
    prefix = backup_prefix(timestamp)
    return prefix, timestamp, key[len(prefix) :]


def backup_of_key(key: str) -> tuple[str, str] | None:
    """The timestamp of the backup that an object belongs to, and its name below the prefix; None for other objects.

    >>> backup_of_key("backups/20260101/20260101120000/gpbackup_20260101120000_report")
    ('20260101120000', 'gpbackup_20260101120000_report')
    """
    day, _, rest = key.removeprefix(BACKUPS).partition("/")
    timestamp, _, name = rest.partition("/")
    is_in_backup = name and key.startswith(BACKUPS) and is_backup_prefix(f"{BACKUPS}{day}/{timestamp}/")
    return (timestamp, name) if is_in_backup else None


def is_plugin_config(key: str) -> bool:
    """Whether it is the copy of the plugin's configuration that gpbackup stores with each backup, wherever it lies."""
    return _PLUGIN_CONFIG.search(key) is not None


def backup_of_directory(path: str) -> tuple[str, str]:
    """The key prefix and the timestamp of a local backup directory, `…/backups/YYYYMMDD/YYYYMMDDHHMMSS`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    folder = "/".join(parts[-3:])
    if not _is_backup(folder):
        raise UsageError(f"{path!r} is not a backup's directory: expected …/backups/YYYYMMDD/YYYYMMDDHHMMSS")
    return f"{folder}/", parts[-1]


def local_run(path: str) -> tuple[str, str]:
    """The data directory of the coordinator or segment, and the timestamp, of a local backup directory or a file in it:
    together they tell one run of gpbackup from another on the same host. UsageError for any other path.

    >>> local_run("/data/gpseg-1/backups/20260101/20260101120000/gpbackup_20260101120000_report")
    ('/data/gpseg-1', '20260101120000')
    """
    match = _LOCAL_RUN.search(os.path.normpath(path))
    if match is None:
        raise UsageError(f"{path!r} is not in a backup's directory: expected …/backups/YYYYMMDD/YYYYMMDDHHMMSS")
    return match[1] or "", match[2]


def _is_backup(folder: str) -> bool:
    """Return whether delete_backup would look there for a backup."""
    timestamp = folder.rpartition("/")[2]
    return _TIMESTAMP.fullmatch(timestamp) is not None and f"{folder}/" == backup_prefix(timestamp)


def directory_prefix(path: str) -> str:
    """The prefix of a directory that a person names: "" for the whole target, else ending in "/".

    A path that ends like the directory of one backup means that backup, whatever local path precedes it,
    so that a backup that was made without the plugin can be uploaded where gprestore finds it. Any other
    path is taken as it stands, below the URL: `/var/lib/app/backups` has nothing to do with our `backups/`.

    >>> directory_prefix("/data/gpseg-1/backups/20260101/20260101120000")
    'backups/20260101/20260101120000/'
    >>> directory_prefix("/etc/greenplum/")
    'etc/greenplum/'
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"{path!r} must not contain '..'")
    if not parts:
        return ""
    whole = "/".join(parts)
    tail = _BACKUP_TAIL.search(whole)
    return (tail.group(1) if tail else whole) + "/"


def unfinished_key(key: str, token: str) -> str:
    """The name under which an object is written until it is whole; the token is 12 hexadecimal digits.

    In the same directory, so that a rename makes it visible; hidden; never the name of an object.
    """
    folder, slash, name = key.rpartition("/")
    # 255 bytes is the usual limit of a name, of which 19 are ours; a cut name is still unique by its token.
    name = os.fsencode(name)[:200].decode(errors="ignore")
    return f"{folder}{slash}.{name}.{token}.part"


def is_unfinished(key: str) -> bool:
    """Return whether the key is the working name of an unfinished object."""
    return _UNFINISHED.search(key) is not None
