"""What a configuration allows that a careful administrator would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.loading import Config

# Names under which fsspec's filesystems and the clouds' libraries take it.
_VERIFY = {"verify", "session_verify", "verify_ssl", "ssl_verify", "connection_verify", "tls_verify"}
_HERE = ("localhost", "127.0.0.1", "::1")


def risks_of_the_file(config: Config) -> Iterator[str]:
    """What stands in the file and should not, a sentence each."""
    for of, target in _targets(config):
        if target.literal_secrets:
            names = ", ".join(dict.fromkeys(target.literal_secrets))
            yield (
                f"{of}storage_options hold secrets as they are ({names}): gpbackup leaves a copy of the file in /tmp "
                "on every host, readable by others; a storage_options_file, ${NAME}, an encrypted value or the "
                "cloud's own credentials keep them apart (docs/security.md)"
            )


def risks_of_the_options(config: Config) -> Iterator[str]:
    """What the options allow, a sentence each."""
    for of, target in _targets(config):
        for name in _unverified(target.storage_options):
            yield f"{of}{name} turns the verification of TLS certificates off: anybody on the way may read and change"
        for name, url in _plain(target.storage_options):
            yield f"{of}{name} leads to {url} without TLS: anybody on the way may read and change"


def _targets(config: Config) -> Iterator[tuple[str, Config]]:
    """Each with what the names of its options begin with."""
    yield "", config
    if config.replica is not None:
        yield "replica_", config.replica


def _unverified(options: Any) -> Iterator[str]:
    for name, value in _leaves(options):
        if name.rpartition(".")[2].lower() in _VERIFY and str(value).lower() in ("false", "no", "off", "0"):
            yield name


def _plain(options: Any) -> Iterator[tuple[str, str]]:
    for name, value in _leaves(options):
        if name.rpartition(".")[2] in ("endpoint_url", "account_host") and str(value).startswith("http://"):
            host = urlsplit(str(value)).hostname
            if host not in _HERE:
                yield name, str(host)


def _leaves(node: Any, name: str = "storage_options") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}")
    else:
        yield name, node
