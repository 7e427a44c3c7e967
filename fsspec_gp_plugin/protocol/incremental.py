"""Proves, before an incremental backup writes anything, that the coordinator can read the backup it builds upon."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .decrypting import read_contents_start, require_contents_open
from .known_claims import read_readable_claim
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .context import Context

# As gpbackup reads the option.
_INCREMENTAL = frozenset(("--incremental", "--incremental=true", "--incremental=t", "--incremental=1"))
_TIMESTAMP = re.compile(r"[0-9]{14}")


def require_base_opens(context: Context) -> None:
    """If gpbackup makes an incremental backup, which reads the files of the backup that it builds upon, require that an
    identity of this host opens them, unless they are not encrypted. Raises ConfigError or StorageError.
    """
    process = context.gpbackup
    arguments = process.read_arguments() if process is not None else ()
    if not _is_incremental(arguments):
        return
    from ..age.header import begins_like_header
    from ..age.key_files import load_identities

    base, claim = _base_of(arguments), None
    if base:
        store = store_of_backup(context, base)
        claim = read_readable_claim(store, base, context.log.info)
        if claim is not None and claim.encryption is None:
            return
        if claim is None:
            start = read_contents_start(store, base)
            if start is not None and not begins_like_header(start):
                return
    path = context.config.encryption_identity_file
    if not path:
        raise ConfigError(
            "an incremental backup reads the files of the backup that it builds upon, which may be encrypted: set "
            "`encryption_identity_file` on the coordinator, for example with the identity of a recipient in "
            "`encryption_metadata_recipients`"
        )
    load_identities(path)
    if base and claim is not None:
        require_contents_open(context, store, claim)


def _is_incremental(arguments: Sequence[str]) -> bool:
    return any(one.lower() in _INCREMENTAL for one in arguments)


def _base_of(arguments: Sequence[str]) -> str:
    """The timestamp that the command line names as that of the backup to build upon; "" if gpbackup chooses it."""
    for one, following in zip(arguments, (*arguments[1:], ""), strict=True):
        name, separator, value = one.partition("=")
        if name == "--from-timestamp":
            found = value if separator else following
            return found if _TIMESTAMP.fullmatch(found) else ""
    return ""
