"""A configuration as it may be shown and stored: without its secrets."""

from __future__ import annotations

from typing import Any

from ..redaction import MASK, is_secret_key, masked

_NESTED = ("storage_options", "replica_storage_options")
_UNREADABLE = f"# {MASK}: what stood here is no YAML, so nothing tells its secrets from the rest\n"


def redacted(text: str) -> str:
    """The text of a configuration file with every secret in it masked, as YAML of the same meaning else."""
    import yaml

    try:
        document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes nothing but text
        options = document["options"]
        document["options"] = {name: _option(name, value) for name, value in options.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, yaml.YAMLError):
        return _UNREADABLE
    # Each value was scrubbed by itself: a mask in the midst of YAML makes other YAML of it.
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _option(name: str, value: Any) -> Any:
    import yaml

    if name in _NESTED and isinstance(value, str):
        try:
            nested = yaml.safe_load(value.replace("\t", "  "))
        except (yaml.YAMLError, ValueError):
            return MASK
        if nested is None:
            return ""
        return yaml.safe_dump(masked(nested), sort_keys=False) if isinstance(nested, dict) else MASK
    return MASK if value and is_secret_key(name) else masked(value)
