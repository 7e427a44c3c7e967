"""`init`: makes a configuration file that this plugin and gpbackup accept, with the secrets in a file of their own."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from ... import installation, private
from ...config.loading import load_config, parse_config
from ...config.storage_options import literal_secrets
from ...config.writing import config_text, has_literal_secret, yaml_text
from ...errors import LocalFileError, UsageError
from ...redaction import is_secret_key, register_secrets, scrub
from .. import render
from ..arguments import Parser
from .kinds import Kind, Question, kind_of, url_of_any
from .pairs import is_private, is_secret, pair, put, typed
from .questions import ask, ask_kind, ask_text, is_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# Said by options of their own.
_NOT_BY_OPTION = {
    "url": "--url",
    "storage_options": "--storage-option",
    "storage_options_file": "--secrets-file",
}


def main(arguments: Sequence[str]) -> int:
    """Ask what is not given, write, load what was written, and say what comes next."""
    parser = Parser("init")
    parser.add_argument("file", metavar="FILE", nargs="?", help="the configuration file to be made")
    parser.add_argument("--url", help="where the backups go; makes the question for the kind of target needless")
    parser.add_argument("--option", metavar="NAME=VALUE", action="append", default=[], help="a line below `options:`")
    parser.add_argument(
        "--storage-option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a line of storage_options; NAME.NAME is a line of a mapping in them",
    )
    parser.add_argument(
        "--secrets-file",
        metavar="FILE",
        help="the storage_options_file: used as it is where it exists, else made for the secrets that are asked for "
        "(~/.fsspec_gp_plugin/NAME.secrets.yaml)",
    )
    parser.add_argument(
        "--secrets-in-arguments",
        action="store_true",
        help="take secrets from --storage-option, where the shell's history and `ps` show them",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_json()
    answers = _Answers(parser.parse_args(arguments))
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
                "next": [doctor, backup],
            }
        )
        return 0
    render.line(f"Wrote {answers.file}, for {scrub(config.url)}")
    if answers.secrets:
        render.line(f"Wrote {answers.secrets_file}, with the secrets: every host needs this file, mode 0600")
    elif config.storage_options_file:
        render.line(f"Secrets are in {config.storage_options_file}: every host needs this file, mode 0600")
    render.line("Next:")
    render.line(f"  {doctor}")
    render.line(f"  {backup}")
    return 0


class _Answers:
    """What was given and asked: `storage` for the configuration, `secrets` for the file of secrets."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.json: bool = asked.json
        self.file: str = asked.file or ""
        self.secrets: dict[str, Any] = {}
        self.storage: dict[str, Any] = {}
        self.options = {}
        self._force: bool = asked.force
        self._url: str = asked.url or ""
        self._secrets_file: str = asked.secrets_file or ""
        for name, value in map(pair, asked.option):
            if name in _NOT_BY_OPTION:
                raise UsageError(f"--option {name}: use {_NOT_BY_OPTION[name]}")
            if name == "replica_url":
                _checked("--option replica_url", _url, value)
            secret = name == "replica_storage_options" and literal_secrets(value)
            if secret or (is_secret_key(name) and value not in ("on", "off")):
                raise UsageError(f"--option {name}: a secret is none of the configuration's; use --secrets-file")
            self.options[name] = value
        for name, value in map(pair, asked.storage_option):
            self._give(name, value, insisted=asked.secrets_in_arguments)

    @property
    def secrets_file(self) -> str:
        """An absolute path."""
        if self._secrets_file:
            return os.path.abspath(os.path.expanduser(self._secrets_file))
        stem = os.path.splitext(os.path.basename(self.file))[0]
        return os.path.join(private.home(), ".fsspec_gp_plugin", f"{stem}.secrets.yaml")

    @property
    def _uses_secrets(self) -> bool:
        """Whether the file of secrets is there already, and wanted as it is."""
        return bool(self._secrets_file) and os.path.exists(self.secrets_file) and not self.secrets

    def collect(self) -> None:
        """Have an answer to everything."""
        terminal = is_terminal()
        missing = [] if terminal else [what for what, given in (("FILE", self.file), ("--url", self._url)) if not given]
        if missing:
            raise UsageError(f"{' and '.join(missing)} must be given, as there is no terminal to ask in")
        if self.file:
            self.file = _checked("FILE", self._new_file, self.file)
        else:
            self.file = ask_text("Configuration file", os.path.join(private.home(), "plugin.yaml"), self._new_file)
        if self._uses_secrets:
            private.read_file(self.secrets_file)
        if self._url:
            self._url = _checked("--url", _url, self._url)
        if terminal:
            self._ask(kind_of(self._url, self.storage) if self._url else ask_kind())

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
            self._url = _checked("url", _url, kind.url.format_map(pieces).rstrip("/"))

    def _is_known(self, question: Question) -> bool:
        """Whether it needs no answer."""
        first, _, second = question.name.partition(".")
        for given in (self.storage, self.secrets):
            found = given.get(first)
            if found is not None and (not second or not isinstance(found, dict) or second in found):
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
            raise UsageError(f"{path} exists: `--secrets-file {path}` uses it as it is, --force replaces it")

    def _give(self, name: str, text: str, *, insisted: bool) -> None:
        value = text if is_private(name) else typed(text)
        if is_secret(name) and has_literal_secret({name.rpartition(".")[2]: text}):
            if not insisted:
                raise UsageError(
                    f"--storage-option {name}: a secret among the arguments is in the shell's history and in `ps`: "
                    "leave it out to be asked for it, write it to the --secrets-file, or insist with "
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
            raise ValueError("gpbackup passes the path on unquoted; choose one without spaces")
        if not os.path.isdir(os.path.dirname(path)):
            raise ValueError(f"there is no directory {os.path.dirname(path)}")
        if os.path.isdir(path) or (os.path.lexists(path) and not self._force):
            raise ValueError(f"{path} exists; choose another name, or use --force to replace it")
        return path

    def write(self) -> None:
        """Both files, each whole or not at all; before that, whether the configuration is right."""
        if "secret" in self.secrets and "key" in self.storage:
            self.secrets["key"] = self.storage.pop("key")
        register_secrets(self.secrets)
        executable = installation.executable()
        options = {"url": self._url, **self.options}
        whole = config_text(executable, options, {**self.storage, **self.secrets})
        parse_config(self.file, whole, os.environ)
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
            raise UsageError(f"--secrets-file {self.secrets_file}: there is no such file, and no secret to write to it")
        private.write_file(self.file, config_text(executable, options, self.storage), replace=self._force)


def _checked(what: str, check: Any, text: str) -> str:
    try:
        return str(check(text))
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def _url(text: str) -> str:
    from urllib.parse import urlsplit

    if urlsplit(text).password:
        raise ValueError("a password in it would stand in the configuration: leave it out, it is a storage option")
    return url_of_any(text)
