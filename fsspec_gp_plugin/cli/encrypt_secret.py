"""`encrypt-secret`: encrypts a secret for use in the configuration file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..config.encrypted_values import KEY_NAME, encrypted, key_file, new_key, read_key
from ..errors import LocalFileError, UsageError
from .arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """\
Encrypts a secret for use in CONFIG. Reads the secret from the terminal, or from the first line of standard input, and
prints the value to write in storage_options instead of it. The key is taken from KEYFILE, gpbackup's file of keys
(default: $COORDINATOR_DATA_DIRECTORY/.encrypt), and created there if it is missing. Set `password_encryption: on`, so
that gpbackup passes the key to all hosts."""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("encrypt-secret")
    parser.description = _DESCRIPTION
    parser.add_argument("keyfile", metavar="KEYFILE", nargs="?", help="gpbackup's file of keys")
    path = parser.parse_args(argv).keyfile or key_file(os.environ)
    if path is None:
        raise UsageError("neither COORDINATOR_DATA_DIRECTORY nor MASTER_DATA_DIRECTORY is set: give KEYFILE")
    secret = _read_secret()
    if not secret:
        raise UsageError("the secret is empty")
    key = read_key(path)
    if key is None:
        key = new_key()
        _append(path, key)
        sys.stderr.write(f"Created a new key in {path}: keep it safe, as nothing else can decrypt these values\n")
    sys.stdout.write(encrypted(secret, key) + "\n")
    return 0


def _read_secret() -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("Secret: ")
    return sys.stdin.readline().rstrip("\r\n")


def _append(path: str, key: str) -> None:
    """Append the key to a file that only this user may read; other lines stay."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "r+", encoding="utf-8") as file:
            content = file.read()
            file.write(("" if not content or content.endswith("\n") else "\n") + f"{KEY_NAME}: {key}\n")
    except OSError as error:
        raise LocalFileError(f"can't write {path}: {error.strerror}") from error
