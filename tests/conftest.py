"""Fixtures for all tests: real servers, and what happens when one is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.servers import azurite as azurite_server
from tests.servers import gcs as gcs_server
from tests.servers import minio as minio_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.azurite import Azurite
    from tests.servers.gcs import Gcs
    from tests.servers.minio import Minio

REQUIRED = set(filter(None, os.environ.get("GP_PLUGIN_REQUIRE", "").split(",")))


# Of the tests that have a target or a store, only those for these; else the usual ones.
TARGETS = set(filter(None, os.environ.get("GP_PLUGIN_TARGETS", "").split(",")))


def skip_unless_required(what: str, reason: str) -> NoReturn:
    """Skip a test whose server is missing; fail it where GP_PLUGIN_REQUIRE names that server."""
    if what in REQUIRED:
        pytest.fail(f"{what} is required by GP_PLUGIN_REQUIRE: {reason}")
    pytest.skip(reason)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for other targets or stores than those that are wanted."""
    wanted = [item for item in items if _is_wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def _is_wanted(item: pytest.Item) -> bool:
    parameters: dict[str, object] = item.callspec.params if hasattr(item, "callspec") else {}
    kind = str(parameters.get("target") or parameters.get("store") or "").partition(" ")[0]
    if not kind:
        return True
    if TARGETS:
        return kind in TARGETS
    return "store" in parameters or kind in ("file", "s3") or item.get_closest_marker("every_target") is not None


def minio_program() -> str:
    """Where MinIO is; without it the test is skipped, or fails where it is required."""
    program = minio_server.executable()
    if program is None:
        skip_unless_required("minio", "MinIO is not installed; scripts/test builds it")
    return program


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    yield from minio_server.run(minio_program(), tmp_path_factory.mktemp("minio"))


def gcs_program() -> str:
    """Where fake-gcs-server is; without it the test is skipped, or fails where it is required."""
    program = gcs_server.executable()
    if program is None:
        skip_unless_required("gcs", "fake-gcs-server is not installed; scripts/test builds it")
    return program


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    with gcs_server.running(gcs_program(), tmp_path_factory.mktemp("gcs")) as server:
        yield server


def azurite_program() -> str:
    """Where Azurite is; without it the test is skipped, or fails where it is required."""
    program = azurite_server.executable()
    if program is None:
        skip_unless_required("azure", "Azurite is not installed; scripts/test installs it")
    return program


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    yield from azurite_server.run(azurite_program(), tmp_path_factory.mktemp("azurite"))
