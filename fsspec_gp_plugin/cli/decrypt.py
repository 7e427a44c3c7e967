"""`decrypt`: fetches one object of a backup, and writes what was encrypted in it."""

from __future__ import annotations

import os
import re
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from .. import private
from ..age.header import LARGEST_HEADER, DecryptionError, Header, begins_like_header, parse_header
from ..age.key_files import load_identities
from ..age.object_name import ObjectName
from ..age.sealing import NoIdentityError
from ..backups.backup_keys import make_opening
from ..backups.claim_reading import ClaimedError, find_claim
from ..backups.from_config import download_settings
from ..errors import AccessDenied, NotFound, StorageError, UsageError
from ..integrity.claim import BadClaim
from ..integrity.object_names import is_plugins_own
from ..keys import backup_of_key, backup_prefix, object_key
from ..redaction import in_one_line, scrub
from ..storage.reading import fetch_small
from ..transfer.download import Download
from .arguments import Parser
from .main import interruptible
from .open_target import open_target
from .terminal_text import write_text_to_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ..age.opening import Opening
    from ..config.loading import Config
    from ..integrity.claim import Claim
    from ..storage.contract import Store

_DESCRIPTION = """\
Fetches one object of a backup, decrypts it by an identity, and writes it to standard output. An object that is not
encrypted is written as it is, unless its backup is encrypted."""
_NAME = re.compile(r"gpbackup_(?:-?[0-9]+_)?([0-9]{14})(?![0-9])")
_ANY_NAME = "opened nevertheless, by --any-name"


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("decrypt")
    parser.description = _DESCRIPTION
    parser.add_argument("key", metavar="KEY", help="backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME, or NAME of gpbackup's")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a new file, which only you can read")
    parser.add_argument(
        "--identity", metavar="FILE", help="a file with identities, instead of the option `encryption_identity_file`"
    )
    parser.add_argument(
        "--any-name",
        action="store_true",
        help="also open an object whose header does not say which object it is, or says that it is another one, and "
        "one that is not encrypted in an encrypted backup",
    )
    parser.add_replica()
    arguments = parser.parse_args(argv)
    key = _find_key(arguments.key)
    if arguments.identity:
        load_identities(arguments.identity, "option --identity")
    with (
        open_target(arguments.config, replica=arguments.replica) as (config, store),
        interruptible(),
        _open_output(arguments.output) as sink,
    ):
        if arguments.identity:
            config = config._replace(encryption_identity_file=os.path.abspath(os.path.expanduser(arguments.identity)))
        opening = _examine(store, config, key, any_name=arguments.any_name)
        Download(store, sink, download_settings(config), opening=opening).write_whole(key)
    return 0


def _find_key(text: str) -> str:
    """The key of an object, from the key, a local path that gpbackup uses, or the object's name alone."""
    if "/" not in text:
        match = _NAME.match(text)
        if match is None:
            raise UsageError(f"{text!r} has no timestamp in it: give backups/YYYYMMDD/YYYYMMDDHHMMSS/{text}")
        return backup_prefix(match[1]) + text
    try:
        return object_key(text)
    except UsageError:
        if ".." in text.split("/") or not text.strip("/"):
            raise
        return text.strip("/")  # it may be in a folder below a backup, or in no backup


def _examine(store: Store, config: Config, key: str, *, any_name: bool) -> Opening | None:
    """How to open the object, None if it is not encrypted. Says what is unusual about it. Raises StorageError if it
    must not be opened, or there is no identity.
    """
    start = fetch_small(store, key, LARGEST_HEADER)[1]
    claim = _read_claim(store, key, any_name=any_name)
    if not begins_like_header(start):
        if claim is not None and claim.encryption is not None:
            problem = f"{key} is not encrypted, although its backup is: another object may have been put in its place"
            if not any_name:
                raise DecryptionError(f"{problem}; --any-name writes it nevertheless")
            _say(f"{problem}; {_ANY_NAME}")
        else:
            _say(f"{key} is not encrypted; it is written as it is")
        return None
    # A plain backup may have objects that people have encrypted by other programs.
    opening = make_opening(config, claim, any_name=any_name) or make_opening(config, None, any_name=any_name)
    if opening is None or not opening.identities:
        why = "there is no identity to open it" if opening is None else opening.explain_no_identity()
        raise NoIdentityError(f"{key} is encrypted, and {why}. Give an identity by --identity FILE")
    header = parse_header(start)
    if any_name and header is not None:
        _say_whose(key, claim, header)
    return opening._replace(is_encrypted=True)


def _say_whose(key: str, claim: Claim | None, header: Header) -> None:
    """Say it if the header does not say that it is this object."""
    try:
        ObjectName(key, claim.token if claim is not None else "").require(header.stanzas)
    except DecryptionError as error:
        _say(f"{key}: {str(error).partition('; ')[0]}; {_ANY_NAME}")


def _read_claim(store: Store, key: str, *, any_name: bool) -> Claim | None:
    """The claim of the backup that an object belongs to; None if there is none, or it may not be read."""
    backup = backup_of_key(key)
    if backup is None or is_plugins_own(backup[1]):
        return None  # what this plugin stores for itself is never encrypted
    try:
        return find_claim(store, backup_prefix(backup[0]), lambda _: False)
    except NotFound:
        return None
    except AccessDenied as error:
        _say(f"it is unknown whether the backup is encrypted, as its claim can't be read: {error}")
        return None
    except (BadClaim, ClaimedError) as error:
        if not any_name:
            raise StorageError(f"{error}; `decrypt --any-name` opens the object nevertheless") from error
        _say(f"{error}; {_ANY_NAME}")
        return None


def _open_output(path: str | None) -> AbstractContextManager[int]:
    """The descriptor to write to: that of a new file, of standard output, or of a check before a terminal."""
    if path not in (None, "-"):
        return private.new_file(str(path), replace=False)
    if path is None and sys.stdout.isatty():
        return write_text_to_terminal(sys.stdout.fileno())
    return nullcontext(sys.stdout.fileno())


def _say(text: str) -> None:
    sys.stderr.write(in_one_line(scrub(text)) + "\n")
    sys.stderr.flush()
