"""`fsspec_gp_plugin encrypt-secret`: a secret becomes a value that may stand in the configuration file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..config.encryption import KEY_NAME, encrypted, key_file, new_key, read_key
from ..errors import LocalFileError, UsageError
from .arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """\
Reads a secret from the terminal, or the first line of standard input, and prints the value to write in storage_options
instead. Its key is that of KEYFILE, gpbackup's file of keys, made when there is none; unless given that is
$COORDINATOR_DATA_DIRECTORY/.encrypt. `password_encryption: on` makes gpbackup pass the key to all hosts."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("encrypt-secret")
    parser.description = _DESCRIPTION
    parser.add_argument("keyfile", metavar="KEYFILE", nargs="?", help="the file of keys")
    path = parser.parse_args(arguments).keyfile or key_file(os.environ)
    if path is None:
        raise UsageError("neither COORDINATOR_DATA_DIRECTORY nor MASTER_DATA_DIRECTORY is set: name the file of keys")
    secret = _asked()
    if not secret:
        raise UsageError("the secret is empty")
    key = read_key(path)
    if key is None:
        key = new_key()
        _append(path, key)
        sys.stderr.write(f"A new key stands in {path}: keep it safe, without it nothing opens what it has encrypted\n")
    sys.stdout.write(encrypted(secret, key) + "\n")
    return 0


def _asked() -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("Secret: ")
    return sys.stdin.readline().rstrip("\r\n")


def _append(path: str, key: str) -> None:
    """A line more in a file that only this user may read; what others have there stays."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "r+", encoding="utf-8") as file:
            content = file.read()
            file.write(("" if not content or content.endswith("\n") else "\n") + f"{KEY_NAME}: {key}\n")
    except OSError as error:
        raise LocalFileError(f"can't write {path}: {error.strerror}") from error
