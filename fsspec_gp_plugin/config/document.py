"""The configuration file as YAML: read as strictly as gpbackup reads it, and written so that both accept it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .options import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_strings(text: str) -> dict[str, str]:
    """The mapping below `options:`; each value is the text that gpbackup reads."""
    import yaml

    class Loader(yaml.BaseLoader):
        """Reads every scalar as text, as gpbackup does; a duplicate key is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002, RUF100
            seen = set()
            for key, _ in node.value:
                if key.value in seen and isinstance(key.value, str):
                    raise ConfigError(f"key {key.value!r} appears twice (line {key.start_mark.line + 1})")
                seen.add(key.value if isinstance(key.value, str) else id(key))
            return super().construct_mapping(node, deep=deep)

    document = load_yaml(text, Loader)
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


def load_yaml(text: str, loader: Any) -> Any:
    """Load YAML; raises ConfigError with the line of a mistake."""
    import yaml

    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - a subclass of BaseLoader, which is safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "it has characters that YAML does not allow"
        raise ConfigError(f"is not valid YAML{where}: {problem}") from None


def config_text(executable: str, options: Mapping[str, str], storage_options: Mapping[str, Any]) -> str:
    """The text of a configuration file with these options; storage options become a block of text."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes text of several lines as a block, which people can read."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    values = dict(options)
    if storage_options:
        values["storage_options"] = yaml_text(storage_options)
    document = {"executablepath": executable, "options": values}
    return str(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=4096))


def yaml_text(options: Mapping[str, Any]) -> str:
    """A mapping as YAML, which loads as the same mapping whatever its values look like."""
    import yaml

    return str(yaml.safe_dump(dict(options), sort_keys=False, allow_unicode=True, width=4096))


def _not_a_string(name: str) -> str:
    if name in ("storage_options", "replica_storage_options"):
        return (
            f"option {name!r} is a nested mapping, which gpbackup refuses; make it a block of text: "
            f"write `{name}: |` and keep the indented lines below it"
        )
    return f"option {name!r} is a list or a mapping, which gpbackup refuses; expected text"
