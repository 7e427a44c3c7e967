"""The copy of the configuration that is stored with each backup: only what is on a list of what may be shown.

Nothing reads that copy, but whoever may read the backup can. So it has the URL without its log-in, those of our own
options whose form leaves no room for a secret, the names of the storage options, and the values of a few of these.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from ..providers import provider_of
from ..redaction import LEAST, MASK, forms_of, is_secret_key
from .options import BY_NAME

_UNREADABLE = f"# {MASK}: what stood here is no YAML, so nothing tells its secrets from the rest\n"
_NESTED = {"storage_options", "replica_storage_options"}
_URLS = {"url", "replica_url"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_REGION = r"[a-z]{2,12}(-[a-z]{2,12}){0,4}(-?[0-9]{1,2}[a-z]?)?"


def _word(pattern: str) -> Any:
    return re.compile(pattern).fullmatch


# Storage options, and options of the S3 plugin, whose values are shown where they have the usual form of such.
_SHOWN = {
    "account_name": _word(r"[a-z0-9]{3,24}"),
    "addressing_style": _word(r"auto|path|virtual"),
    "bucket": _word(r"[a-z0-9][a-z0-9.-]{2,62}"),
    "encryption": _word(r"on|off"),
    "project": _word(r"[a-z][a-z0-9.:-]{3,40}"),
    "region": _word(_REGION),
    "region_name": _word(_REGION),
}
_ENDPOINTS = {"endpoint", "endpoint_url"}


def stored_copy(text: str) -> str:
    """The text of a configuration file as it may be stored: YAML of the same form, with "***" for what is not shown."""
    import yaml

    try:
        document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes nothing but text
        options = {str(name): _parsed(str(name), value) for name, value in document["options"].items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, yaml.YAMLError):
        return _UNREADABLE
    hidden = _Hidden(options)
    shown = {_name(name, hidden): _shown(name, value, hidden) for name, value in options.items()}
    for name in _NESTED & set(shown):
        shown[name] = yaml.safe_dump(shown[name], sort_keys=False) if isinstance(shown[name], dict) else shown[name]
    path = str(document.get("executablepath", ""))
    copy = {"executablepath": MASK if hidden.are_in(path) else path, "options": shown}
    return str(yaml.safe_dump(copy, sort_keys=False, allow_unicode=True))


def _parsed(name: str, value: Any) -> Any:
    """An option's value; of storage options the mapping that they hold, as text."""
    import yaml

    if name not in _NESTED or not isinstance(value, str):
        return value
    try:
        return yaml.load(value.replace("\t", "  "), yaml.BaseLoader) or {}  # noqa: S506
    except (ValueError, yaml.YAMLError):
        return value


def _shown(name: str, value: Any, hidden: _Hidden) -> Any:
    """A value as it is stored; of a mapping all names are."""
    if isinstance(value, dict):
        return {_name(str(key), hidden): _shown(f".{key}", one, hidden) for key, one in value.items()}
    if value == "":
        return ""
    told = _value(name, value)
    return MASK if told is None or hidden.are_in(told) else told


def _name(name: str, hidden: _Hidden) -> str:
    return MASK if not _NAME.fullmatch(name) or hidden.are_in(name) else name


def _value(name: str, value: Any) -> str | None:
    """What may be shown of one value, None for nothing. The name begins with "." where it is a storage option's."""
    if not isinstance(value, str):
        return None
    if name in _URLS:
        return _address(value, with_path=True)
    bare = name.removeprefix(".")
    if bare in _ENDPOINTS:
        return _address(value, with_path=False)
    if bare in _SHOWN:
        return value if _SHOWN[bare](value) else None
    option = BY_NAME.get(name)
    if option is None or not option.ours or option.parse is str:
        return None
    try:
        option.parse(value)
    except (ValueError, OverflowError):
        return None
    return value


def _address(url: str, *, with_path: bool) -> str | None:
    """A URL without its log-in and its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    login, at, place = parts.netloc.rpartition("@")
    if at and not (provider_of(parts.scheme) is provider_of("abfs") and ":" not in login):  # there it is the container
        login = MASK
    # A log-in with a "/" in it ends in what looks like the path.
    if not parts.scheme or not (place or parts.path) or "@" in parts.path + parts.query + parts.fragment:
        return None
    rest = f"?{MASK}" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{login}{at}{place}{parts.path if with_path else ''}{rest}"


class _Hidden:
    """The texts in the options that are not shown: the same may stand under two names, one of them harmless."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._whole: set[str] = set()
        self._anywhere: set[str] = set()
        for name, value in options.items():
            self._add(name, value, secret=is_secret_key(name))

    def are_in(self, text: str) -> bool:
        """Whether a text is one of them, or holds one that its name says to be secret."""
        return text in self._whole or any(one in text for one in self._anywhere)

    def _add(self, name: str, value: Any, *, secret: bool) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                paired = key == "key" and "secret" in value
                self._add(f".{key}", one, secret=secret or paired or is_secret_key(str(key)))
        elif isinstance(value, list):
            for one in value:
                self._add("", one, secret=secret)
        elif isinstance(value, str) and (told := _value(name, value)) is None:
            self._keep(value, secret=secret)
        elif isinstance(value, str) and told != value:
            parts = urlsplit(value)
            for part in filter(None, (parts.username, parts.password, parts.query, parts.fragment)):
                self._keep(part, secret=True)

    def _keep(self, text: str, *, secret: bool) -> None:
        if len(text) >= LEAST:
            forms = set(forms_of(text))
            self._whole |= forms
            self._anywhere |= forms if secret else set()
