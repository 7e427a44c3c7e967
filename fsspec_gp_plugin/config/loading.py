"""Turns a configuration file into a Config, or into one line that says what is wrong with it.

gpbackup reads the file strictly as strings and writes it again. This module reads it as strictly: two top-level keys,
and text as every value. gpbackup therefore accepts every file that passes here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError
from ..private import Place
from ..redaction import register_secrets
from . import s3_plugin
from .document import load_yaml, parse_strings
from .encrypted_values import KEY_NAME
from .options import BY_NAME
from .storage_options import expand_text, literal_secrets, load_storage_options, merged_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..log import Verbosity

_LARGEST_FILE = 1 << 20
# Options of text in which `${NAME}` is replaced from the environment.
_WITH_VARIABLES = {
    "state_directory",
    "encryption_recipients",
    "encryption_metadata_recipients",
    "encryption_identity_file",
}


class Config(NamedTuple):
    """The options of one configuration file, parsed: sizes in bytes, durations in seconds. `literal_secrets` has the
    names of secrets that the file contains in plain text. `replica` is the same configuration with the replica's URL
    and options, or None; `replica_problem` says why it is not usable, which only matters to those who need it.
    """

    path: str
    url: str
    storage_options: dict[str, Any]
    literal_secrets: tuple[str, ...]
    storage_options_file: str | None
    replica: Config | None
    replica_problem: str
    backup_max_concurrent_requests: int
    restore_max_concurrent_requests: int
    backup_multipart_chunksize: int
    restore_multipart_chunksize: int
    fixed_part_size: bool
    max_parts: int | None
    memory_limit: int
    max_bandwidth: int | None
    timeout: float
    max_retries: int | None
    checksum: str
    encryption_recipients: str
    encryption_metadata_recipients: str
    encryption_identity_file: str
    agent: bool
    agent_memory_limit: int
    agent_idle: float
    logger_verbosity: Verbosity
    state_directory: str
    cluster: str
    restore_incomplete: bool
    pgport: str

    @property
    def place(self) -> Place:
        """The directories in which this host keeps its state about the backups at the primary."""
        return Place(self.url, self.state_directory)


def load_config(path: str) -> Config:
    """Read and parse a configuration file; raises ConfigError with the file, the key and the next step."""
    return parse_config(path, read_config(path), os.environ)


def read_config(path: str) -> str:
    """The text of a configuration file; raises ConfigError if it can't be read."""
    with _naming(path):
        return _read(path)


def parse_config(path: str, text: str, environ: Mapping[str, str]) -> Config:
    """Parse the text of the file `path`; `environ` has the values of `${NAME}`."""
    with _naming(path):
        return _config(path, text, environ)


def executable_path(path: str, text: str) -> str:
    """The `executablepath` in the text of the file `path`, or "". Raises ConfigError."""
    import yaml

    with _naming(path):
        document = load_yaml(text, yaml.BaseLoader)
        named = document.get("executablepath", "") if isinstance(document, dict) else ""
        if not isinstance(named, str):
            raise ConfigError("`executablepath` is not text; expected the absolute path of the executable")
        return named


@contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"configuration file {path}: {error}") from None


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror or error}") from error
    if len(content) > _LARGEST_FILE:
        raise ConfigError("is larger than 1 MB, so it can't be a plugin configuration")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not text; expected YAML with `executablepath:` and `options:`") from None
    if not text.strip():
        raise ConfigError("is empty; expected YAML with `executablepath:` and `options:`")
    return text


def _config(path: str, text: str, environ: Mapping[str, str]) -> Config:
    given = parse_strings(text)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if "\0" in value:
            raise ConfigError(f"option {name!r} contains a zero byte; remove it")
        option = BY_NAME.get(name)
        if option is None:
            raise ConfigError(f"unknown option {name!r}{_nearest(name)}")
        try:
            values[name] = option.parse(value) if value else option.default
        except (ValueError, OverflowError) as error:
            # The value is not quoted: a secret may have been put under the wrong key.
            raise ConfigError(f"option {name!r}: {error}") from None
    url, text = values.get("url") or "", values.get("storage_options") or ""
    if s3_plugin.is_used(given):
        url, defaults = s3_plugin.translate(given)
        text = merged_text(defaults, text)
        values |= s3_plugin.limit_part_size({option.name: option.default for option in BY_NAME.values()} | values)
    elif theirs := next((name for name in s3_plugin.NAMES if given.get(name)), None):
        raise ConfigError(
            f"option {theirs!r} belongs to the S3 plugin's configuration, which has a `bucket` and no `url`; with "
            "`url`, use storage_options instead (docs/migration.md)"
        )
    if not url:
        raise ConfigError("option 'url' is missing; for example `url: s3://bucket/prefix`")
    _check_url("url", url)
    _expand_variables(values, environ)
    config = Config(
        path=path,
        **_target("", url, text, values, environ),
        **{
            field: values.get(field, BY_NAME[field].default)
            for field in Config._fields
            if field in BY_NAME and not field.endswith(("url", "storage_options", "storage_options_file"))
        },
    )
    try:
        return config._replace(replica=_replica(config, values, environ))
    except UnusableError as error:
        return config._replace(replica_problem=str(error))


def _expand_variables(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name in _WITH_VARIABLES & values.keys():
        expanded = expand_text(f"option {name!r}", values[name], environ)
        if expanded != values[name]:
            try:
                # Without recipients nothing would be encrypted, so an empty variable is no answer.
                values[name] = BY_NAME[name].parse(expanded)
            except ValueError as error:
                raise ConfigError(f"option {name!r}, with the value of its variable: {error}") from None
    if values.get("encryption_metadata_recipients") and not values.get("encryption_recipients"):
        raise ConfigError("option 'encryption_metadata_recipients' has no effect without 'encryption_recipients'")


class UnusableError(ConfigError):
    """The replica's options are not available on this host."""


def required_replica(config: Config) -> Config:
    """The configuration of the replica; raises ConfigError if there is none, or if it is not usable."""
    if config.replica is None:
        raise ConfigError(
            f"configuration file {config.path}: {config.replica_problem}"
            if config.replica_problem
            else f"configuration file {config.path} has no replica: add `replica_url`"
        )
    return config.replica


def _target(prefix: str, url: str, text: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a Config for one target, whose options begin with `prefix`."""
    name, file = f"{prefix}storage_options", values.get(f"{prefix}storage_options_file")
    return {
        "url": url,
        "storage_options": load_storage_options(text, file, environ, values.get(KEY_NAME) or "", name),
        "literal_secrets": tuple(literal_secrets(text, name)),
        "storage_options_file": file,
        "replica": None,
        "replica_problem": "",
    }


def _replica(config: Config, values: Mapping[str, Any], environ: Mapping[str, str]) -> Config | None:
    url = values.get("replica_url")
    if not url:
        if name := next((name for name in values if name.startswith("replica_") and values[name]), None):
            raise ConfigError(f"option {name!r} has no effect without 'replica_url'")
        return None
    _check_url("replica_url", url)
    try:
        target = _target("replica_", url, values.get("replica_storage_options") or "", values, environ)
    except ConfigError as error:
        raise UnusableError(str(error)) from error
    replica = config._replace(**target)
    if (replica.url.rstrip("/"), replica.storage_options) == (config.url.rstrip("/"), config.storage_options):
        raise ConfigError("option 'replica_url' names the same target as 'url'; choose another one")
    return replica


def _check_url(name: str, url: str) -> None:
    from urllib.parse import unquote, urlsplit

    protocol, separator, _ = url.partition("://")
    if "::" in url:
        raise ConfigError(f"option {name!r}: chained URLs are not supported; use {url.rpartition('::')[2]!r} alone")
    if not separator or not protocol:
        raise ConfigError(f"option {name!r}: expected PROTOCOL://…, such as s3://bucket/prefix or file:///directory")
    if protocol == "memory":
        raise ConfigError(f"option {name!r}: memory:// keeps nothing after the process ends; choose another target")
    try:
        password = urlsplit(url).password
    except ValueError as error:
        raise ConfigError(f"option {name!r}: {error}") from None
    if password:
        register_secrets([password, unquote(password)], secret=True)


def _nearest(name: str) -> str:
    known = [option.name for option in BY_NAME.values() if option.ours]
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "; docs/configuration.md lists all options"
