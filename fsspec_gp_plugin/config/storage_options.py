"""Loads the storage options from the configuration, a file on the host, and the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..private import read_file
from ..redaction import is_secret_key, register_secrets
from .encrypted_values import PREFIX, decrypt

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_storage_options(
    text: str, file: str | None, environ: Mapping[str, str], key: str = "", name: str = "storage_options"
) -> dict[str, Any]:
    """The options in `text`, overridden by those in `file`, with `${NAME}` replaced from `environ` and encrypted values
    decrypted by `key`. `name` is the name of the option, for messages.

    Secret values are registered for redaction before any message can quote them.
    """
    options = _expand(name, parse_mapping(text, f"option {name!r}"), environ)
    if file:
        what = f"{name}_file {file}"
        override = _expand(f"{name}_file", parse_mapping(read_file(file, what), what), environ)
        options = _merge(options, override)
    decrypted: dict[str, Any] = decrypt(options, key, environ)
    register_secrets(decrypted)
    return decrypted


def merged_text(base: dict[str, Any], override: str) -> str:
    """YAML of `base`, overridden by the options in the text `override`."""
    import yaml

    return str(yaml.safe_dump(_merge(base, parse_mapping(override, "option 'storage_options'"))))


def literal_secrets(text: str, option: str = "storage_options") -> list[str]:
    """The names of plain-text secrets in the valid text of `storage_options`."""
    names: list[str] = []

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, key if is_secret_key(str(key)) or (key == "key" and "secret" in node) else name)
        elif isinstance(node, list):
            for value in node:
                walk(value, name)
        elif name and node and not str(node).startswith(PREFIX) and not _VARIABLE.search(str(node)):
            names.append(name)

    walk(parse_mapping(text, f"option {option!r}"), "")
    return names


def parse_mapping(text: str, what: str) -> dict[str, Any]:
    """Parse YAML or JSON as a mapping; `what` names the text in a ConfigError."""
    import yaml

    if not text.strip():
        return {}
    try:
        # JSON is YAML but for tabs, which YAML does not take as indentation.
        value = yaml.safe_load(text.replace("\t", "  ") if text.lstrip().startswith("{") else text)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for what looks like an impossible date
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        # The message does not quote the text, which may contain a secret.
        raise ConfigError(f"{what} is neither YAML nor JSON{where}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{what} must be a mapping: `key: value` lines, or {{…}}")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{what}: the key {key!r} is not text; put it in quotes")
    return value


def expand_text(where: str, text: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME}` in a value from the environment; raises ConfigError if NAME is not set."""
    return str(_expand(where, {"": text}, environ)[""])


def _expand(where: str, options: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Replace `${NAME}` in options from the environment, and `$${NAME}` by a plain `${NAME}`."""

    def replace(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return "${" + name + "}"
        if name not in environ:
            raise ConfigError(
                f"{where} uses ${{{name}}}, which is not set in the environment of the plugin on this host"
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


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
