"""Options of the transfer, seen from outside: what they do to an object, its parts, and the time it takes."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.checksum import crc32c
from tests.protocol.caller import Plugin, write_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.caller import Database
    from tests.protocol.conftest import Target
    from tests.servers.minio import Minio

_unique = itertools.count()
MB = 1 << 20


@pytest.fixture
def s3(minio: Minio, database: Database) -> Callable[..., Plugin]:
    def configured(**options: Any) -> Plugin:
        url = f"s3://{minio.bucket}/options/{next(_unique)}"
        return Plugin(database, write_config(database.folder / "options.yaml", url, minio.options, **options))

    return configured


def whole_key(plugin: Plugin, path: str) -> str:
    url = plugin.config.read_text().partition("s3://")[2].partition('"')[0]
    return f"{url.partition('/')[2]}/{plugin.database.key(path)}"


def parts(minio: Minio, plugin: Plugin, path: str) -> list[int]:
    """The sizes of an object's parts."""
    answer = minio.filesystem().call_s3(
        "get_object_attributes",
        Bucket=minio.bucket,
        Key=whole_key(plugin, path),
        ObjectAttributes=["ObjectParts", "ObjectSize"],
    )
    return [part["Size"] for part in answer["ObjectParts"]["Parts"]]


@pytest.mark.with_agent
def test_parts_have_the_size_that_is_asked_for(s3: Callable[..., Plugin], minio: Minio, database: Database) -> None:
    plugin = s3(backup_multipart_chunksize="6MB", fixed_part_size="on")
    data = os.urandom(15 * MB)
    plugin.run("backup_data", database.table(), stdin=data).succeeded()
    assert parts(minio, plugin, database.table()) == [6 * MB, 6 * MB, 3 * MB]
    assert plugin.run("restore_data", database.table()).succeeded().out == data


@pytest.mark.with_agent
def test_parts_grow_where_their_number_is_limited(s3: Callable[..., Plugin], minio: Minio, database: Database) -> None:
    plugin = s3(backup_multipart_chunksize="5MB", max_parts=25)
    data = os.urandom(40 * MB)
    plugin.run("backup_data", database.table(), stdin=data).succeeded()
    sizes = parts(minio, plugin, database.table())
    assert sizes[0] == 5 * MB
    assert sizes[1] > sizes[0]
    assert plugin.run("restore_data", database.table()).succeeded().out == data


@pytest.mark.with_agent
def test_a_stream_that_does_not_fit_leaves_nothing_and_says_what_to_set(
    s3: Callable[..., Plugin], minio: Minio, database: Database
) -> None:
    plugin = s3(backup_multipart_chunksize="5MB", fixed_part_size="on", max_parts=2)
    result = plugin.run("backup_data", database.table(), stdin=os.urandom(10 * MB + 1))
    result.failed(database.key(database.table()), "2 parts", "backup_multipart_chunksize", "max_parts", status=1)
    plugin.run("restore_data", database.table()).failed("no such object", status=1)
    assert minio.unfinished_uploads(whole_key(plugin, database.table())) == []
    plugin.run("backup_data", database.table(), stdin=os.urandom(10 * MB)).succeeded()


@pytest.mark.with_agent
def test_bandwidth_is_limited_both_ways(target: Target, database: Database) -> None:
    config = write_config(database.folder / "slow.yaml", target.url, target.options, max_bandwidth="4MB")
    plugin = Plugin(database, config)
    data = os.urandom(4 * MB)
    for command, stdin in (("backup_data", data), ("restore_data", b"")):
        started = time.monotonic()
        result = plugin.run(command, database.table(), stdin=stdin).succeeded()
        # A tenth of a second's bytes may go at once.
        assert 0.85 < time.monotonic() - started < 20, command
    assert result.out == data


@pytest.mark.with_agent
def test_without_checksum_none_is_logged_and_the_bytes_are_the_same(target: Target, database: Database) -> None:
    data = os.urandom(11 * MB)
    for value, suffix in (("off", "_1"), ("crc32c", "_2")):
        config = write_config(
            database.folder / f"{value}.yaml",
            target.url,
            target.options,
            checksum=value,
            backup_multipart_chunksize="5MB",
            restore_multipart_chunksize="1MB",
        )
        plugin = Plugin(database, config)
        path = database.table(suffix=suffix)
        plugin.run("backup_data", path, stdin=data).succeeded()
        assert plugin.run("restore_data", path).succeeded().out == data
    lines = [line for line in database.log().splitlines() if "_data " in line]
    assert [f"crc32c {crc32c(data):08x}" in line for line in lines] == [False, False, True, True]


@pytest.mark.with_agent
def test_a_small_memory_limit_is_enough(target: Target, database: Database) -> None:
    config = write_config(
        database.folder / "small.yaml",
        target.url,
        target.options,
        memory_limit="1MB",
        restore_multipart_chunksize="8MB",
    )
    plugin = Plugin(database, config)
    data = os.urandom(30 * MB)
    plugin.run("backup_data", database.table(), stdin=data).succeeded()
    assert plugin.run("restore_data", database.table()).succeeded().out == data
