"""YAML read as strictly as gpbackup reads it: two top-level keys, and text as every value."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .options import BY_NAME


def parse_strings(text: str) -> dict[str, str]:
    """The mapping under `options:`, each value the text that gpbackup would make of it."""
    import yaml

    class Loader(yaml.BaseLoader):
        """Every scalar is text, as gpbackup's strict decoding makes it; a doubled key is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002, RUF100
            seen = set()
            for key, _ in node.value:
                if key.value in seen and isinstance(key.value, str):
                    raise ConfigError(f"key {key.value!r} stands twice (line {key.start_mark.line + 1})")
                seen.add(key.value if isinstance(key.value, str) else id(key))
            return super().construct_mapping(node, deep=deep)

    document = parsed(text, Loader)
    if not isinstance(document, dict):
        raise ConfigError("is not a YAML mapping; expected `executablepath:` and `options:`")
    for name in document:
        if name not in ("executablepath", "options"):
            hint = " (indent it below `options:`)" if name in BY_NAME else ""
            raise ConfigError(f"unknown top-level key {name!r}{hint}; gpbackup allows executablepath and options")
    options = document.get("options")
    if not isinstance(options, dict):
        raise ConfigError("`options:` is missing or not a mapping; it needs at least `url:` below it")
    for name, value in options.items():
        if not isinstance(value, str):
            raise ConfigError(_not_a_string(str(name)))
    return {name: "" if value in ("~", "null") else value for name, value in options.items()}


def parsed(text: str, loader: Any) -> Any:
    """What a loader makes of a text; ConfigError."""
    import yaml

    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - a subclass of BaseLoader, which is safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "it has characters that YAML does not allow"
        raise ConfigError(f"is not valid YAML{where}: {problem}") from None


def _not_a_string(name: str) -> str:
    if name in ("storage_options", "replica_storage_options"):
        return (
            f"option {name!r} is a nested mapping, which gpbackup refuses; make it a block of text: "
            f"write `{name}: |` and keep the indented lines below it"
        )
    return f"option {name!r} is a list or a mapping, which gpbackup refuses; expected text"
