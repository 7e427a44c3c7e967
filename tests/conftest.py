"""Fixtures for all tests: real servers, and what happens when one is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.servers import minio as minio_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

REQUIRED = set(filter(None, os.environ.get("GP_PLUGIN_REQUIRE", "").split(",")))


def skip_unless_required(what: str, reason: str) -> NoReturn:
    """Skip a test whose server is missing; fail it where GP_PLUGIN_REQUIRE names that server."""
    if what in REQUIRED:
        pytest.fail(f"{what} is required by GP_PLUGIN_REQUIRE: {reason}")
    pytest.skip(reason)


def minio_program() -> str:
    """Where MinIO is; without it the test is skipped, or fails where it is required."""
    program = minio_server.executable()
    if program is None:
        skip_unless_required("minio", "MinIO is not installed; scripts/test builds it")
    return program


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    yield from minio_server.run(minio_program(), tmp_path_factory.mktemp("minio"))
