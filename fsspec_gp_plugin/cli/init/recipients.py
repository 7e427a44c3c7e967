"""The answers for `init` about encryption: recipients, and the file of a new identity."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ... import private
from ...age.key_files import format_identity, is_path
from ...age.x25519 import Identity, new_identity
from ...config.key_options import parse_recipients_option
from ...errors import UsageError
from .answers import ask, ask_text, check_answer
from .kinds import Question

if TYPE_CHECKING:
    import argparse

_OPTION = "encryption_recipients"
_NEW = "new"
_EXPLANATION = "Backups can be encrypted to age recipients: age1…, or the path of a file with them.\n"
_QUESTION = "Recipients, or `new` for a new key pair (empty: no encryption)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--encryption-recipients",
        metavar="RECIPIENTS",
        help="encrypt backups to these age recipients: age1…, separated by blanks, or the absolute path of a file",
    )
    parser.add_argument(
        "--new-identity",
        metavar="FILE",
        help="make a key pair: write the identity to this new file, and encrypt backups to its recipient, too",
    )


class EncryptionAnswers:
    """Whether and how backups are encrypted. `identity_file`: where the identity of a new key pair goes, "" if none is
    made.
    """

    def __init__(self, arguments: argparse.Namespace, options: dict[str, str]) -> None:
        """`options`: those of the configuration, which get the recipients."""
        self.identity_file = ""
        self._identity: Identity | None = None
        self._options = options
        if arguments.encryption_recipients:
            if _OPTION in options:
                raise UsageError(f"--option {_OPTION} and --encryption-recipients are the same: give one of them")
            check_answer("--encryption-recipients", parse_recipients_option, arguments.encryption_recipients)
            options[_OPTION] = arguments.encryption_recipients
        if arguments.new_identity:
            if is_path(options.get(_OPTION, "")):
                raise UsageError(
                    "--new-identity: the recipients are in a file; make the key pair by `keygen -o FILE`, and add its "
                    "public key to that file"
                )
            self._make(check_answer("--new-identity", _new_file, arguments.new_identity))

    def ask(self, config_file: str) -> None:
        """Ask in the terminal, unless the arguments have said it. `config_file`: the path of the configuration."""
        if self._options.get(_OPTION):
            return
        sys.stderr.write(_EXPLANATION)
        answer = ask(Question("", _QUESTION, lambda text: text if text == _NEW else _recipients(text), optional=True))
        if answer == _NEW:
            stem = os.path.splitext(os.path.basename(config_file))[0]
            file = os.path.join(private.home(), f"{stem}.identity.txt")
            self._make(ask_text("File for the new identity", file, _new_file))
        elif answer:
            self._options[_OPTION] = str(answer)

    def write(self) -> None:
        """Write the new identity, if one was made."""
        if self._identity is not None:
            private.write_file(self.identity_file, format_identity(self._identity), replace=False)

    def _make(self, path: str) -> None:
        self.identity_file = path
        self._identity = new_identity()
        self._options[_OPTION] = f"{self._options.get(_OPTION, '')} {self._identity.recipient.text}".strip()


def _recipients(text: str) -> str:
    """Raises ValueError, which names the other answers, too."""
    try:
        return parse_recipients_option(text)
    except ValueError as error:
        raise ValueError(f"{error} (`{_NEW}` makes a key pair; an empty answer means no encryption)") from None


def _new_file(text: str) -> str:
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"there is no directory {os.path.dirname(path)}; create it first")
    if os.path.lexists(path):
        raise ValueError(f"{path} exists, and an identity is never replaced; choose another name")
    return path
