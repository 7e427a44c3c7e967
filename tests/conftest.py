"""Fixtures for all tests: real servers, and what happens when one is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.servers import minio as minio_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

REQUIRED = set(filter(None, os.environ.get("GP_PLUGIN_REQUIRE", "").split(",")))


def skip_unless_required(what: str, reason: str) -> None:
    """Skip a test whose server is missing; fail it where GP_PLUGIN_REQUIRE names that server."""
    if what in REQUIRED:
        pytest.fail(f"{what} is required by GP_PLUGIN_REQUIRE: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    program = minio_server.executable()
    if program is None:
        skip_unless_required("minio", "MinIO is not installed; scripts/test builds it")
        return
    yield from minio_server.run(program, tmp_path_factory.mktemp("minio"))
