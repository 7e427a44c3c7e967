"""Each store in turn; and for tests of options: servers that speak TLS, and an environment that says nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.contract.stores import STORES
from tests.isolation import known_secrets, own_home
from tests.servers import azurite as azurite_server
from tests.servers import certificates, gcs_parts, gcs_sessions
from tests.servers import minio as minio_server
from tests.servers.fixtures import azurite_program, minio_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.servers.azurite import Azurite
    from tests.servers.gcs import Gcs
    from tests.servers.gcs_sessions import Front
    from tests.servers.minio import Minio


__all__ = ["known_secrets", "own_home"]  # fixtures


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = STORES[request.param](request, tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def minio_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    made = certificates.make(tmp_path_factory.mktemp("certificates"), name=minio_server.DOMAIN)
    yield from minio_server.run(minio_program(), tmp_path_factory.mktemp("minio-tls"), made)


@pytest.fixture(scope="session")
def azure_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    made = certificates.make(tmp_path_factory.mktemp("certificates-azure"))
    yield from azurite_server.run(azurite_program(), tmp_path_factory.mktemp("azurite-tls"), made)


@pytest.fixture
def front(gcs: Gcs) -> Iterator[Front]:
    """Resumable uploads as Google has them, before a fake-gcs-server, which lacks them."""
    with gcs_sessions.running(gcs.endpoint) as running:
        yield running


@pytest.fixture
def parts_front(gcs: Gcs) -> Iterator[gcs_parts.Front]:
    """Uploads in parts as Google has them."""
    with gcs_parts.running(gcs.endpoint) as running:
        yield running


@pytest.fixture
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of whoever runs the tests has a say."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "BOTO_", "FSSPEC_", "REQUESTS_", "SSL_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
