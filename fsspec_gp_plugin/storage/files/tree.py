"""What dialects have in common that use a client of our own instead of an fsspec filesystem, and checks of options."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import ConfigError
from .dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class TreeClient(Protocol):
    """What a client of our own does for a TreeDialect. Each of its requests has a time limit. For one thread at a time,
    except for close().
    """

    def size(self, path: str) -> int | None:
        """Bytes of a file, None of a directory."""
        ...

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        """The names in a directory, with the bytes of files and None for directories."""
        ...

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer from a byte on; yields how many came with each step."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in place of what has it."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove a directory if it is empty; raises if it is not."""
        ...

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it."""
        ...

    def close(self) -> None:
        """Close the connection at once, also while another thread waits for it."""
        ...


class TreeDialect(Dialect):
    """Files in directories, by a TreeClient."""

    tested = True

    def __init__(self, make: Callable[[], Any], timeout: float, place: str = "") -> None:
        """Connects to nothing yet. `make` gives a connected client; `place` stands before paths in messages."""
        super().__init__(make, timeout)
        self.place = place

    def is_missing(self, error: Exception) -> bool:
        """Whether the library or the server says by this error that a file or a directory is not there."""
        return isinstance(error, FileNotFoundError)

    @contextmanager
    def missing(self, path: str) -> Iterator[None]:
        """Within it, FileNotFoundError is raised for what is not there."""
        try:
            yield
        except Exception as error:
            if self.is_missing(error):
                raise FileNotFoundError(path) from error
            raise

    def connect(self) -> Any:
        return self._make()

    def make_directories(self, fs: TreeClient, path: str) -> None:
        fs.make_directories(path)

    def size(self, fs: Any, path: str) -> int:
        with self.missing(path):
            size: int | None = fs.size(path)
        if size is None:
            raise FileNotFoundError(f"{path} is not a file")
        return size

    def rename(self, fs: TreeClient, working: str, final: str) -> None:
        fs.rename(working, final)

    def read(self, fs: TreeClient, path: str, start: int, into: memoryview) -> Iterator[int]:
        with self.missing(path):
            yield from fs.read(path, start, into)

    def find_at_once(self, fs: Any, path: str) -> None:
        """These filesystems list directory by directory."""

    def entries(self, fs: Any, path: str) -> list[tuple[str, int | None]]:
        try:
            with self.missing(path):
                entries = fs.entries(path)
        except FileNotFoundError:
            return []
        return [(f"{path.rstrip('/')}/{name}", size) for name, size in entries]

    def remove(self, fs: TreeClient, path: str) -> None:
        with self.missing(path):
            fs.remove(path)

    def remove_directory(self, fs: TreeClient, path: str) -> None:
        fs.remove_directory(path)


def require_known(protocol: str, options: Mapping[str, Any], filesystem: Any, *more: str) -> None:
    """Raises ConfigError for an option that neither the constructor of fsspec's filesystem nor this package knows: the
    constructor takes any.
    """
    known = [name for name in inspect.signature(filesystem.__init__).parameters if name not in ("self", "kwargs")]
    for name in options:
        if name not in known and name not in more and name not in _OF_ALL:
            raise ConfigError(
                f"storage_options: {protocol}:// knows no option {name!r}, only {', '.join(sorted({*known, *more}))}"
            )


def require_kinds(protocol: str, options: Mapping[str, Any], kinds: tuple[type, ...], *names: str) -> None:
    """Raises ConfigError for an option of these names that is set to a value of another type."""
    for name in names:
        value = options.get(name)
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if value is not None and not fits:
            kind_names = " or ".join(_NAMES.get(kind, kind.__name__) for kind in kinds)
            raise ConfigError(f"storage_options: {name} of {protocol}:// must be {kind_names}")


def host_and_port(protocol: str, options: Mapping[str, Any], default: int) -> tuple[str, int]:
    """The host and the port that URL and options name. Raises ConfigError without a host."""
    host, port = options.get("host"), options.get("port") or default
    if not host:
        raise ConfigError(f"url must name a host: {protocol}://HOST/directory")
    if isinstance(port, bool) or not str(port).isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"storage_options: port of {protocol}:// must be a number up to 65535")
    return str(host), int(port)


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"}
# Options that fsspec takes for every filesystem, and that make no difference here.
_OF_ALL = ("skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous")
