"""URL and options → FsspecStore, with the dialect of the protocol."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, Unreachable
from ...providers import provider_of, scheme_of
from .dialect import Dialect, ReadOnlyDialect
from .store import FsspecStore

if TYPE_CHECKING:
    from collections.abc import Callable

# Why a stream of unknown length can't be written there, piece by piece, complete or not at all.
REASONS = {
    "github": "it takes no files",
    "hf": "its library wants a whole file at once, and would need as much memory or disk on this host",
    "lakefs": "its library wants a whole object at once; use s3:// with the address of lakeFS' S3 gateway",
    "oss": "its library appends to objects that are visible meanwhile; use s3:// with the address of OSS' S3 interface",
    "zip": "an archive can't be written by many processes at once",
}

# fsspec's filesystems that write to another one, and read what they have kept of it.
_CACHES = {"blockcache", "cached", "filecache", "simplecache"}


def open_files(url: str, options: dict[str, Any], timeout: float) -> FsspecStore:
    """The store below a URL of any protocol that fsspec knows.

    Options are those of the fsspec filesystem, and count more than what the URL says.
    """
    import fsspec

    protocol = scheme_of(url)
    kind = fsspec.get_filesystem_class(protocol)
    root = kind._strip_protocol(url)  # noqa: SLF001 - fsspec's own url_to_fs does so
    if protocol in _CACHES:
        raise ConfigError(
            f"{protocol}:// reads copies that it keeps on this host, which say nothing of what the store holds; put "
            "the store's own address into `url`, and its options into storage_options"
        )
    if module := provider_of(protocol).dialect:
        open_dialect: Callable[..., Dialect] = import_module(f".{module}", __package__).open_dialect
        return FsspecStore(open_dialect(url, options, timeout), root)
    if "://" in root:
        # The filesystem takes such a path for a name like any other, so that all would lie in a directory "x:".
        raise ConfigError(
            f"url {url!r}: the filesystem of {protocol}:// does not take a protocol off its paths, so nothing tells "
            "where backups would lie; use another protocol"
        )
    given = {**kind._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    # A listing that is remembered hides what other hosts wrote; an instance that is remembered, other options.

    def make() -> Any:
        return kind(**{**given, "skip_instance_cache": True})

    if protocol in REASONS:
        return FsspecStore(ReadOnlyDialect(make, timeout, protocol, REASONS[protocol]), root)
    dialect = Dialect(make, timeout)
    store = FsspecStore(dialect, root)
    # Wrong options show here. What is out of reach is tried again by the first call that needs it, with policy.
    with suppress(Unreachable):
        store.connections.give_back(store.connections.take(f"can't open {url}"))
    return store
