"""`init`: creates a configuration file for this plugin and gpbackup, with the secrets in a file of their own."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from ... import installation, private
from ...config.document import config_text, yaml_text
from ...config.loading import load_config, parse_config
from ...config.storage_options import literal_secrets
from ...errors import LocalFileError, UsageError
from ...redaction import is_secret_key, register_secrets, scrub
from .. import render
from ..arguments import Parser
from .answers import (
    ask,
    ask_kind,
    ask_text,
    check_answer,
    check_url,
    is_private,
    is_secret,
    is_terminal,
    put,
    split_pair,
    yaml_value,
)
from .kinds import Kind, Question, kind_of
from .recipients import EncryptionAnswers, add_arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# These have options of their own.
_NOT_BY_OPTION = {
    "url": "--url",
    "storage_options": "--storage-option",
    "storage_options_file": "--secrets-file",
}


def main(argv: Sequence[str]) -> int:
    """Ask for what is missing, write the files, load them, and print the next steps; returns 0."""
    parser = Parser("init")
    parser.add_argument("file", metavar="FILE", nargs="?", help="the configuration file to create")
    parser.add_argument("--url", help="where the backups go; without it, you are asked for the kind of target")
    parser.add_argument(
        "--option", metavar="NAME=VALUE", action="append", default=[], help="set an option below `options:`"
    )
    parser.add_argument(
        "--storage-option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set a storage option; dots for nested keys (client_kwargs.region_name=eu-central-1)",
    )
    parser.add_argument(
        "--secrets-file",
        metavar="FILE",
        help="the storage_options_file: used unchanged if it exists, else created for the secrets that you enter "
        "(default: ~/.fsspec_gp_plugin/NAME.secrets.yaml)",
    )
    parser.add_argument(
        "--secrets-in-arguments",
        action="store_true",
        help="accept secrets in --storage-option, although the shell's history and `ps` show them",
    )
    add_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_json()
    answers = _Answers(parser.parse_args(argv))
    answers.collect()
    answers.write()
    config = load_config(answers.file)
    doctor = f"{shlex.quote(installation.executable())} doctor {shlex.quote(answers.file)}"
    backup = f"gpbackup --dbname DATABASE --plugin-config {shlex.quote(answers.file)}"
    if answers.json:
        render.as_json(
            {
                "config": answers.file,
                "executable": installation.executable(),
                "url": scrub(config.url),
                "storage_options_file": config.storage_options_file,
                "new_identity": answers.encryption.identity_file or None,
                "next": [doctor, backup],
            }
        )
        return 0
    render.line(f"Wrote {answers.file}, for {scrub(config.url)}")
    if answers.secrets:
        render.line(f"Wrote the secrets to {answers.secrets_file}: every host needs this file, mode 0600")
    elif config.storage_options_file:
        render.line(f"The secrets are in {config.storage_options_file}: every host needs this file, mode 0600")
    if identity_file := answers.encryption.identity_file:
        render.line(
            f"Wrote a new identity to {identity_file}: move it off the cluster, and keep a copy in a safe place"
        )
        render.line("  A restore needs it as `encryption_identity_file`; without it these backups can't be restored")
    render.line("Next:")
    render.line(f"  {doctor}")
    render.line(f"  {backup}")
    return 0


class _Answers:
    """All answers, given as arguments or in the terminal: `storage` and `options` for the configuration, `secrets` for
    the file of secrets.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.json: bool = arguments.json
        self.file: str = arguments.file or ""
        self.secrets: dict[str, Any] = {}
        self.storage: dict[str, Any] = {}
        self.options: dict[str, str] = {}
        self._force: bool = arguments.force
        self._url: str = arguments.url or ""
        self._secrets_file: str = arguments.secrets_file or ""
        for name, value in map(split_pair, arguments.option):
            if name in _NOT_BY_OPTION:
                raise UsageError(f"--option {name}: use {_NOT_BY_OPTION[name]}")
            if name == "replica_url":
                check_answer("--option replica_url", check_url, value)
            secret = name == "replica_storage_options" and literal_secrets(value)
            if secret or (is_secret_key(name) and value not in ("on", "off")):
                raise UsageError(f"--option {name}: secrets do not belong into the configuration; use --secrets-file")
            self.options[name] = value
        for name, value in map(split_pair, arguments.storage_option):
            self._add_argument(name, value, insisted=arguments.secrets_in_arguments)
        self.encryption = EncryptionAnswers(arguments, self.options)

    @property
    def secrets_file(self) -> str:
        """The absolute path of the file of secrets."""
        if self._secrets_file:
            return os.path.abspath(os.path.expanduser(self._secrets_file))
        stem = os.path.splitext(os.path.basename(self.file))[0]
        return os.path.join(private.home(), ".fsspec_gp_plugin", f"{stem}.secrets.yaml")

    @property
    def _uses_secrets(self) -> bool:
        """Whether to use an existing file of secrets unchanged."""
        return bool(self._secrets_file) and os.path.exists(self.secrets_file) and not self.secrets

    def collect(self) -> None:
        """Ask for everything that the arguments leave open."""
        terminal = is_terminal()
        missing = [] if terminal else [what for what, given in (("FILE", self.file), ("--url", self._url)) if not given]
        if missing:
            raise UsageError(f"{' and '.join(missing)} must be given, as there is no terminal for questions")
        if self.file:
            self.file = check_answer("FILE", self._new_file, self.file)
        else:
            self.file = ask_text("Configuration file", os.path.join(private.home(), "plugin.yaml"), self._new_file)
        if self._uses_secrets:
            private.read_file(self.secrets_file)
        if self._url:
            self._url = check_answer("--url", check_url, self._url)
        if terminal:
            self._ask(kind_of(self._url, self.storage) if self._url else ask_kind())
            self.encryption.ask(self.file)

    def _ask(self, kind: Kind) -> None:
        for name, value in kind.extra if not self._url else ():
            self.storage.setdefault(name, value)
        pieces: dict[str, Any] = {}
        for question in kind.questions:
            name = question.name
            if name.startswith(":"):
                if not self._url:
                    pieces[name[1:]] = ask(question)
            elif not self._is_known(question):
                value = ask(question)
                if value is not None:
                    self._put(name, value)
        if not self._url:
            self._url = check_answer("url", check_url, kind.url.format_map(pieces).rstrip("/"))

    def _is_known(self, question: Question) -> bool:
        """Whether the question needs no answer."""
        first, _, second = question.name.partition(".")
        for given in (self.storage, self.secrets):
            value = given.get(first)
            if value is not None and (not second or not isinstance(value, dict) or second in value):
                return True
        if question.after and question.after not in {**self.storage, **self.secrets}:
            return True
        if not (question.secret or is_private(question.name)):
            return False
        if not self._uses_secrets:
            self._refuse_to_replace()
        return self._uses_secrets

    def _refuse_to_replace(self) -> None:
        path = self.secrets_file
        if os.path.lexists(path) and not self._force:
            raise UsageError(f"{path} exists: use it unchanged by `--secrets-file {path}`, or replace it by --force")

    def _add_argument(self, name: str, text: str, *, insisted: bool) -> None:
        value = text if is_private(name) else yaml_value(text)
        if is_secret(name) and literal_secrets(yaml_text({name.rpartition(".")[2]: text})):
            if not insisted:
                raise UsageError(
                    f"--storage-option {name}: the shell's history and `ps` show secrets among the arguments: "
                    "leave it out to be asked for it, write it to the --secrets-file, or add "
                    "--secrets-in-arguments"
                )
            put(self.secrets, name, value)
        else:
            put(self.storage, name, value)

    def _put(self, name: str, value: Any) -> None:
        put(self.secrets if is_private(name) else self.storage, name, value)

    def _new_file(self, text: str) -> str:
        path = os.path.abspath(os.path.expanduser(text))
        if any(c.isspace() for c in path):
            raise ValueError("gpbackup does not quote the path; choose one without spaces")
        if not os.path.isdir(os.path.dirname(path)):
            raise ValueError(f"there is no directory {os.path.dirname(path)}; create it first")
        if os.path.isdir(path) or (os.path.lexists(path) and not self._force):
            raise ValueError(f"{path} exists; choose another name, or use --force to replace it")
        return path

    def write(self) -> None:
        """Check the configuration, then write each file in one step."""
        if "secret" in self.secrets and "key" in self.storage:
            self.secrets["key"] = self.storage.pop("key")
        register_secrets(self.secrets)
        executable = installation.executable()
        options = {"url": self._url, **self.options}
        complete = config_text(executable, options, {**self.storage, **self.secrets})
        parse_config(self.file, complete, os.environ)
        if self.secrets or self._secrets_file:
            options = {"url": self._url, "storage_options_file": self.secrets_file, **self.options}
        if self.secrets:
            self._refuse_to_replace()
            try:
                os.makedirs(os.path.dirname(self.secrets_file), mode=0o700, exist_ok=True)
            except OSError as error:
                raise LocalFileError(f"can't make the directory of {self.secrets_file}: {error.strerror}") from error
            private.write_file(self.secrets_file, yaml_text(self.secrets), replace=self._force)
        elif self._secrets_file and not os.path.exists(self.secrets_file):
            raise UsageError(
                f"--secrets-file {self.secrets_file}: the file does not exist, and there is no secret to write to it"
            )
        self.encryption.write()  # before its recipient is in use
        private.write_file(self.file, config_text(executable, options, self.storage), replace=self._force)
