"""`keygen`: makes the key pair by which backups are encrypted, in the form of age-keygen."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from .. import private
from ..age.key_files import format_identity, parse_identities
from ..age.x25519 import new_identity
from ..errors import LocalFileError, UsageError
from . import render
from .arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """\
Makes a key pair as age-keygen does: an identity (AGE-SECRET-KEY-1…), which opens backups, and its recipient (age1…),
which encrypts them. With -y, prints the recipients of the identities in FILE, or in standard input."""
_NEXT = """\
Next: write the public key into the configuration as `encryption_recipients`.
Keep {path} off the cluster, and a copy of it in a safe place:
without it nobody can restore the backups.
"""
_LARGEST = 1 << 20


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("keygen")
    parser.description = _DESCRIPTION
    parser.add_argument("file", metavar="FILE", nargs="?", help="with -y: a file with identities")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a new file, which only you can read")
    parser.add_argument("-y", "--recipients", action="store_true", help="print the recipients of identities")
    arguments = parser.parse_args(argv)
    if arguments.output == "-":
        arguments.output = None  # standard output
    if arguments.recipients:
        identities = parse_identities(*_read(arguments.file))
        _write("".join(f"{identity.recipient.text}\n" for identity in identities), arguments.output)
        return 0
    if arguments.file is not None:
        raise UsageError(f"`keygen -o {arguments.file}` makes a new identity; `keygen -y {arguments.file}` reads one")
    identity = new_identity()
    _write(format_identity(identity), arguments.output)
    if arguments.output or not sys.stdout.isatty():
        sys.stdout.flush()  # the key must be in its place before its recipient is shown
        sys.stderr.write(f"Public key: {identity.recipient.text}\n")
    if arguments.output:
        sys.stderr.write(_NEXT.format(path=arguments.output))
    elif _others_can_read(sys.stdout.fileno()):
        sys.stderr.write("Warning: the identity was written to a file that other users can read; make its mode 0600\n")
    return 0


def _write(text: str, path: str | None) -> None:
    if path is None:
        render.text(text)
    else:
        private.write_file(path, text, replace=False)


def _read(path: str | None) -> tuple[str, str]:
    """The text of a file or of standard input, and what to call it in messages."""
    what = "standard input" if path in (None, "-") else str(path)
    try:
        with open(0 if path in (None, "-") else str(path), "rb", closefd=path not in (None, "-")) as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise LocalFileError(f"can't read {what}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise LocalFileError(f"{what} is larger than 1 MB, so it can't be a file of identities")
    return content.decode("utf-8-sig", "replace"), what


def _others_can_read(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o077)
