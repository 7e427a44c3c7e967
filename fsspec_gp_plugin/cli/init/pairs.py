"""What is given as NAME=VALUE: options, and lines of storage_options."""

from __future__ import annotations

from typing import Any

from ...errors import UsageError
from ...redaction import is_secret_key


def pair(text: str) -> tuple[str, str]:
    """Name and value; UsageError that does not quote what may be a secret."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        # What was meant as a secret may be in it.
        raise UsageError("expected NAME=VALUE after --option and --storage-option")
    return name, value


def typed(text: str) -> Any:
    """What YAML makes of it, where that is plain: numbers, switches, lists and mappings."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    if isinstance(value, (bool, list, dict)) or (isinstance(value, int) and str(value) == text):
        return value
    return text


def is_secret(name: str) -> bool:
    """Whether its value must never be shown; NAME.NAME is one in a mapping."""
    return any(is_secret_key(part) for part in name.split("."))


def is_private(name: str) -> bool:
    """Whether it belongs to the secrets: s3fs calls the name of a secret key `key`."""
    return name == "key" or is_secret(name)


def put(options: dict[str, Any], name: str, value: Any) -> None:
    """Give an option a value; NAME.NAME is one in a mapping."""
    *folders, last = name.split(".")
    for folder in folders:
        options = options.setdefault(folder, {})
        if not isinstance(options, dict):
            raise UsageError(f"storage option {name!r}: {folder!r} has a value already, so it can't be a mapping")
    options[last] = value
