"""What dialects have in common whose connections are clients of our own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from .dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class TreeDialect(Dialect):
    """Files in directories, which entries() lists. Its clients set the limits of their calls themselves."""

    tested = True

    def connect(self) -> Any:
        return self._make()

    def find(self, fs: Any, path: str) -> Iterator[tuple[str, int]]:
        directories = [path]
        while directories:
            for name, size in self.entries(fs, directories.pop()):
                if size is None:
                    directories.append(name)
                else:
                    yield name, size


def require_known(protocol: str, options: Mapping[str, Any], filesystem: Any, *more: str) -> None:
    """ConfigError for an option that neither the constructor of fsspec's filesystem nor we know: it takes any."""
    known = [name for name in inspect.signature(filesystem.__init__).parameters if name not in ("self", "kwargs")]
    for name in options:
        if name not in known and name not in more and name not in _OF_ALL:
            raise ConfigError(
                f"storage_options: {protocol}:// knows no option {name!r}, only {', '.join(sorted({*known, *more}))}"
            )


def require_kind(protocol: str, options: Mapping[str, Any], name: str, *kinds: type) -> None:
    """ConfigError for an option that is there and of another type."""
    value = options.get(name)
    fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if value is not None and not fits:
        wanted = " or ".join(_NAMES.get(kind, kind.__name__) for kind in kinds)
        raise ConfigError(f"storage_options: {name} of {protocol}:// must be {wanted}")


def host_and_port(protocol: str, options: Mapping[str, Any], default: int) -> tuple[str, int]:
    """The host and the port that URL and options name; ConfigError without a host."""
    host, port = options.get("host"), options.get("port") or default
    if not host:
        raise ConfigError(f"url must name a host: {protocol}://HOST/directory")
    if isinstance(port, bool) or not str(port).isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"storage_options: port of {protocol}:// must be a number up to 65535")
    return str(host), int(port)


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"}
# What fsspec takes for every filesystem, and what makes no difference here.
_OF_ALL = ("skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous")
