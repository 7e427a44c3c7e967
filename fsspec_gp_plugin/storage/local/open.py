"""Opens the store of a file:// URL."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from .store import LocalStore


def open_local(url: str, options: dict[str, Any], timeout: float) -> LocalStore:
    """Return the store below the URL's directory. Raises ConfigError where URL and options can't work."""
    del timeout  # a system call on a file has none
    path = url.partition("://")[2]
    if not path.startswith("/"):
        raise ConfigError(f"url {url!r} must hold an absolute path: file:///directory")
    for name in options:
        if name != "auto_mkdir":
            raise ConfigError(f"storage_options: file:// knows no option {name!r}, only auto_mkdir")
    make_root = options.get("auto_mkdir", True)
    if not isinstance(make_root, bool):
        raise ConfigError("storage_options: auto_mkdir must be true or false")
    return LocalStore(path, make_root=make_root)
