"""The stores that the promises of storage.api.Store are held against, and what each of them has.

A provider joins by a function in STORES.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store

_unique = itertools.count()
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"


def _file(_request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    (tmp_path / "target").mkdir()
    return open_store(f"file://{tmp_path}/target", {})


def _memory(_request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(f"memory://target/{tmp_path.name}/{next(_unique)}", {})


def _generic_on_disk(_request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """What any filesystem of fsspec gets, on the one that everybody has."""
    import fsspec

    from fsspec_gp_plugin.storage.files.dialect import Dialect
    from fsspec_gp_plugin.storage.files.store import FsspecStore

    return FsspecStore(Dialect(lambda: fsspec.filesystem("file", skip_instance_cache=True)), f"{tmp_path}/generic")


def _fake(_request: pytest.FixtureRequest, _tmp_path: Path) -> Store:
    """What stands for any store in the tests of what is above them."""
    return FakeStore()


def _fake_in_order(_request: pytest.FixtureRequest, _tmp_path: Path) -> Store:
    return FakeStore(parallel=False)


def _s3(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    server = request.getfixturevalue("minio")
    return open_store(f"s3://{server.bucket}/contract/{tmp_path.name}/{next(_unique)}", server.options)


def _s3_signed_by_s3fs(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """As where credentials are not in the options."""
    server = request.getfixturevalue("minio")
    url = f"s3://{server.bucket}/contract/{tmp_path.name}/{next(_unique)}"
    return open_store(url, {**server.options, "use_ssl": False})


def _s3_by_s3fs(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The way of options that presigned requests can't express."""
    server = request.getfixturevalue("minio")
    options = {**server.options, "config_kwargs": {"s3": {"payload_signing_enabled": True}}}
    return open_store(f"s3://{server.bucket}/contract/{tmp_path.name}/{next(_unique)}", options)


def _s3_patiently(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """As the commands have it."""
    server = request.getfixturevalue("minio")
    url = f"s3://{server.bucket}/contract/{tmp_path.name}/{next(_unique)}"
    return open_store(url, server.options, policy=RetryPolicy(outage=5))


def _on_server(name: str, policy: RetryPolicy | None = None) -> Callable[[pytest.FixtureRequest, Path], Store]:
    """A store on the server of a fixture of that name."""

    def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
        server = request.getfixturevalue(name)
        url = f"{server.url}/contract/{tmp_path.name}/{next(_unique)}"
        return open_store(url, server.options, policy=policy)

    return opened


def _gcs(name: str) -> Callable[[pytest.FixtureRequest, Path], Store]:
    """A store that has found out whether the server takes uploads in parts."""

    def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
        store = _on_server(name)(request, tmp_path)
        writer = store.begin("the first")
        writer.write(1, memoryview(b"part"))
        writer.abort()
        return store

    return opened


STORES = {
    "fake": _fake,
    "fake-in-order": _fake_in_order,
    "file": _file,
    "memory": _memory,
    "generic": _generic_on_disk,
    "s3": _s3,
    "s3 signed by s3fs": _s3_signed_by_s3fs,
    "s3 by s3fs": _s3_by_s3fs,
    "s3 patiently": _s3_patiently,
    "gcs": _gcs("gcs"),
    "gcs_in_parts": _gcs("gcs_in_parts"),
    "azure": _on_server("azure"),
    "azure patiently": _on_server("azure", RetryPolicy(outage=5)),
    "sftp": _on_server("sftp"),
    "hdfs": _on_server("hdfs"),
    "smb": _on_server("smb"),
    "ftp": _on_server("ftp"),
    "ftp by tls": _on_server("ftp_tls"),
    "webdav": _on_server("webdav"),
}

# What a store has, by the first word of its name: tests go by these tables, not by what a store says of itself.
# An object that was replaced is told from the new one.
VERSIONED = {"fake", "fake-in-order", "file", "s3", "gcs", "gcs_in_parts", "azure"}
# It tells versions, of one second or so.
TELLS_VERSIONS = {*VERSIONED, "webdav"}
# The parts of an object may be written at once and in any order.
PARALLEL = {"fake", "s3", "gcs_in_parts", "azure"}
# It keeps the checksum of an object.
TELLS_CRC = {"s3", "gcs", "gcs_in_parts", "azure"}
# It lists the uploads that nobody ended; those in TELLS_BEGIN say since when they are.
SHOWS_UPLOADS = {"s3", "gcs_in_parts", "azure"}
TELLS_BEGIN = {"s3", "gcs_in_parts"}
# It makes an object only where there is none, when asked to.
CREATES = {"fake", "fake-in-order", "file", "s3", "gcs", "gcs_in_parts", "azure", "sftp", "hdfs", "smb"}
# Filesystems of fsspec that have nothing of their own here.
UNTESTED = {"memory", "generic"}
# Its parts go by connections of the plugin's own, or through files of fsspec, and what they send is counted.
COUNTS_SENT = {"memory", "generic", "azure", "sftp", "hdfs", "smb", "ftp", "webdav"}
# A listing tells when objects were written.
TELLS_TIMES = {"file", "s3", "gcs", "gcs_in_parts", "azure"}


def in_table(table: set[str]) -> list[str]:
    """The stores whose kind is in a table."""
    return [name for name in STORES if name.partition(" ")[0] in table]


def not_in_table(table: set[str]) -> list[str]:
    """All others."""
    return [name for name in STORES if name.partition(" ")[0] not in table]


def kind_of(request: pytest.FixtureRequest) -> str:
    """What the tables call the store of a test."""
    name: str = request.node.callspec.params["store"]
    return name.partition(" ")[0]


def read(store: Store, info: ObjectInfo, start: int, end: int) -> bytes:
    buffer = bytearray(end - start)
    assert sum(store.read(info, start, memoryview(buffer))) == end - start
    return bytes(buffer)


def content(store: Store, key: str = KEY) -> bytes:
    info = store.stat(key)
    return read(store, info, 0, info.size)


def keys(store: Store, prefix: str = "", *, unfinished: bool = False) -> list[str]:
    return sorted(info.key for info in store.find(prefix, unfinished=unfinished))
