"""The mapping for the fsspec filesystem: from the configuration, a file on the host, the environment."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..redaction import register_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LARGEST_FILE = 1 << 20


def load_storage_options(text: str, file: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """The options in `text`, those in `file` laid over them mapping by mapping, `${NAME}` filled in from `environ`.

    Secret values among them are registered for redaction before anything can quote them.
    """
    options = _expanded("storage_options", _parse(text, "option 'storage_options'"), environ)
    if file:
        over = _expanded("storage_options_file", _parse(_read_private(file), f"storage_options_file {file}"), environ)
        options = _laid_over(options, over)
    return options


def _parse(text: str, what: str) -> dict[str, Any]:
    import yaml

    if not text.strip():
        return {}
    try:
        # JSON is YAML but for tabs, which YAML does not take as indentation.
        value = yaml.safe_load(text.replace("\t", "  ") if text.lstrip().startswith("{") else text)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for what looks like an impossible date
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        # The problem is told without the text around it, which may hold a secret.
        raise ConfigError(f"{what} is neither YAML nor JSON{where}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{what} must hold a mapping, as `key: value` lines or as {{…}}")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{what}: the key {key!r} is not text; put it in quotes")
    return value


def _expanded(where: str, options: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The options with `${NAME}` replaced by the environment's NAME, and `$${NAME}` by a plain `${NAME}`."""

    def replace(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return "${" + name + "}"
        if name not in environ:
            raise ConfigError(
                f"{where} names ${{{name}}}, which is not set in the environment of the plugin on this host"
            )
        return environ[name]

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return _VARIABLE.sub(replace, node)
        if isinstance(node, dict):
            return {key: walk(child) for key, child in node.items()}
        if isinstance(node, list):
            return [walk(child) for child in node]
        return node

    filled: dict[str, Any] = walk(options)
    register_secrets(filled)
    return filled


def _laid_over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _laid_over(merged[key], value)
        else:
            merged[key] = value
    return merged


def _read_private(path: str) -> str:
    """The text of a file that only this user may read. The checks are made on the opened file."""
    what = f"storage_options_file {path}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{what} can't be read: {error.strerror}") from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{what} is not a regular file")
        if status.st_uid != os.geteuid():
            raise ConfigError(f"{what} belongs to another user; `chown` it to the user who runs the backup")
        if status.st_mode & 0o077:
            raise ConfigError(f"{what} is open to other users; run `chmod 600 {path}`")
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ConfigError(f"{what} is larger than 1 MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{what} is not text") from None
