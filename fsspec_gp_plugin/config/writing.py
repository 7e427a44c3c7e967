"""A configuration file as text: what gpbackup reads strictly, and this plugin as strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .storage_options import literal_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping


def config_text(executable: str, options: Mapping[str, str], storage_options: Mapping[str, Any]) -> str:
    """The file with these options and, as a block of text, the mapping for the filesystem."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Text of several lines stays a block, which people can read."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    values = dict(options)
    if storage_options:
        values["storage_options"] = yaml_text(storage_options)
    document = {"executablepath": executable, "options": values}
    return str(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=4096))


def yaml_text(options: Mapping[str, Any]) -> str:
    """A mapping as YAML that loads as the same mapping, whatever its values look like."""
    import yaml

    return str(yaml.safe_dump(dict(options), sort_keys=False, allow_unicode=True, width=4096))


def executable_in(text: str) -> str:
    """The executable that a configuration names, from which gpbackup calls the plugin; ConfigError without one."""
    import yaml

    document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes nothing but text
    found = document.get("executablepath") if isinstance(document, dict) else None
    if not isinstance(found, str) or not found:
        raise ConfigError("`executablepath:` is missing, from which gpbackup calls the plugin")
    return found


def has_literal_secret(options: Mapping[str, Any]) -> bool:
    """Whether a secret stands among the storage options as it is: neither encrypted nor in the environment."""
    return bool(literal_secrets(yaml_text(options)))
