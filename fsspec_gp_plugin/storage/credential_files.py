"""Watches the files that credentials and settings of a store may come from: when one changes, so may the store."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The variable that names the file, and its default place. A directory changes when its entries do.
_PLACES = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("BOTO_CONFIG", "~/.boto"),
    ("", "/etc/boto.cfg"),
    ("FSSPEC_CONFIG_DIR", "~/.config/fsspec"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "~/.config/gcloud/application_default_credentials.json"),
    ("", "~/.azure"),
    ("AZURE_CLIENT_CERTIFICATE_PATH", ""),
    ("AZURE_FEDERATED_TOKEN_FILE", ""),
    ("AWS_CA_BUNDLE", ""),
    ("REQUESTS_CA_BUNDLE", ""),
    ("SSL_CERT_FILE", ""),
    ("KRB5CCNAME", ""),
    ("", "~/.ssh"),
    ("", "~/.ssh/known_hosts"),
)


def mark_of(path: str) -> tuple[int, ...] | None:
    """Return a value that changes when the file does; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    file = status.st_dev, status.st_ino
    return (*file, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_uid, status.st_mode)


def marks(options: dict[str, Any]) -> tuple[tuple[int, ...] | None, ...]:
    """Return these values for all files that the storage options name or that the providers' libraries read."""
    return tuple(mark_of(path) for path in (*_looked_for(), *_named(options)))


@lru_cache(maxsize=1)
def _looked_for() -> tuple[str, ...]:
    """Return the paths by the environment of this process, which does not change."""
    paths = (os.environ.get(variable) or place for variable, place in _PLACES)
    return tuple(os.path.expanduser(path) for path in paths if path)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(("/", "~/")):
            yield os.path.expanduser(value)
    elif isinstance(value, dict):
        for child in value.values():
            yield from _named(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from _named(child)
