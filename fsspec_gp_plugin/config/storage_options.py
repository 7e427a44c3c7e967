"""The mapping for the fsspec filesystem: from the configuration, a file on the host, the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..private import read_file
from ..redaction import is_secret_key, register_secrets
from .encryption import PREFIX, decrypted

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_storage_options(
    text: str, file: str | None, environ: Mapping[str, str], key: str = "", name: str = "storage_options"
) -> dict[str, Any]:
    """The options in `text`, those in `file` laid over them mapping by mapping, `${NAME}` filled in from `environ`, and
    encrypted values opened with `key`. `name` is the option's, for messages.

    Secret values among them are registered for redaction before anything can quote them.
    """
    options = _expanded(name, parse_mapping(text, f"option {name!r}"), environ)
    if file:
        what = f"{name}_file {file}"
        over = _expanded(f"{name}_file", parse_mapping(read_file(file, what), what), environ)
        options = _laid_over(options, over)
    opened: dict[str, Any] = decrypted(options, key, environ)
    register_secrets(opened)
    return opened


def over(under: dict[str, Any], text: str) -> str:
    """The text of options that are those in `text` laid over others."""
    import yaml

    return str(yaml.safe_dump(_laid_over(under, parse_mapping(text, "option 'storage_options'"))))


def literal_secrets(text: str, option: str = "storage_options") -> list[str]:
    """The names of secrets that stand as they are in the text of `storage_options`, which can be loaded."""
    found: list[str] = []

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, key if is_secret_key(str(key)) or (key == "key" and "secret" in node) else name)
        elif isinstance(node, list):
            for value in node:
                walk(value, name)
        elif name and node and not str(node).startswith(PREFIX) and not _VARIABLE.search(str(node)):
            found.append(name)

    walk(parse_mapping(text, f"option {option!r}"), "")
    return found


def parse_mapping(text: str, what: str) -> dict[str, Any]:
    """The mapping that a text of YAML or JSON holds; ConfigError, which says `what` the text is."""
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


def expanded_text(where: str, text: str, environ: Mapping[str, str]) -> str:
    """A value with `${NAME}` replaced by the environment's NAME; ConfigError where that has none."""
    return str(_expanded(where, {"": text}, environ)[""])


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
