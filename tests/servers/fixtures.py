"""The real servers, each started once with the first test that needs it; and what happens when one is missing."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.servers import age as age_programs
from tests.servers import azurite as azurite_server
from tests.servers import certificates, gcs_parts
from tests.servers import ftp as ftp_server
from tests.servers import gcs as gcs_server
from tests.servers import hdfs as hdfs_server
from tests.servers import minio as minio_server
from tests.servers import postgres as postgres_server
from tests.servers import smb as smb_server
from tests.servers import sshd as sftp_server
from tests.servers import webdav as webdav_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.azurite import Azurite
    from tests.servers.ftp import Ftp
    from tests.servers.gcs import Gcs
    from tests.servers.hdfs import Hdfs
    from tests.servers.minio import Minio
    from tests.servers.postgres import Postgres
    from tests.servers.smb import Smb
    from tests.servers.sshd import Sshd
    from tests.servers.webdav import Webdav

REQUIRED = set(filter(None, os.environ.get("GP_PLUGIN_REQUIRE", "").split(",")))


def skip_unless_required(what: str, reason: str) -> NoReturn:
    """Skip a test whose server is missing; fail it where GP_PLUGIN_REQUIRE names that server."""
    if {what, "all"} & REQUIRED:
        pytest.fail(f"{what} is required by GP_PLUGIN_REQUIRE: {reason}")
    pytest.skip(reason)


def age_program(name: str) -> str:
    """Where age, age-keygen or rage is; without it the test is skipped, or fails where it is required."""
    program = age_programs.executable(name)
    if program is None:
        skip_unless_required(name.partition("-")[0], f"{name} is not installed; scripts/test builds it")
    return program


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


@pytest.fixture(scope="session")
def gcs_in_parts(gcs: Gcs) -> Iterator[Gcs]:
    """The same with uploads in parts, as Google has them."""
    with gcs_parts.running(gcs.endpoint) as front:
        yield replace(gcs, endpoint=front.endpoint)


def azurite_program() -> str:
    """Where Azurite is; without it the test is skipped, or fails where it is required."""
    program = azurite_server.executable()
    if program is None:
        skip_unless_required("azure", "Azurite is not installed; scripts/test installs it")
    return program


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    yield from azurite_server.run(azurite_program(), tmp_path_factory.mktemp("azurite"))


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    where = hdfs_server.installed()
    if where is None:
        skip_unless_required("hdfs", "HDFS is not installed; tests/servers/install_hdfs fetches it")
    with hdfs_server.run(where, tmp_path_factory.mktemp("hdfs")) as server:
        yield server


@pytest.fixture(scope="session")
def smb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smb]:
    program = smb_server.executable()
    if program is None:
        skip_unless_required("smb", "Samba is not installed, or this is not root; see tests/servers/install_smb")
    with smb_server.run(program, tmp_path_factory.mktemp("smb")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = postgres_server.installed()
    if programs is None:
        skip_unless_required("postgres", "PostgreSQL is not installed; see tests/servers/install_postgres")
    with postgres_server.run(programs) as server:
        yield server


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if not os.access(sftp_server.PROGRAM, os.X_OK):
        skip_unless_required("sftp", "sshd is not installed; see tests/servers/install_sftp")
    with sftp_server.run(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ftp]:
    require_package("ftp", "pyftpdlib")
    with ftp_server.run(tmp_path_factory.mktemp("ftp")) as server:
        yield server


@pytest.fixture(scope="session")
def ftp_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ftp]:
    require_package("ftp", "pyftpdlib")
    made = certificates.make(tmp_path_factory.mktemp("ftp-certificates"))
    with ftp_server.run(tmp_path_factory.mktemp("ftp-tls"), made) as server:
        yield server


@pytest.fixture(scope="session")
def webdav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webdav]:
    require_package("webdav", "wsgidav")
    require_package("webdav", "cheroot")
    with webdav_server.run(tmp_path_factory.mktemp("webdav")) as server:
        yield server


def require_package(what: str, package: str) -> None:
    """Skip a test whose server is a package that is missing, or fail it where it is required."""
    if importlib.util.find_spec(package) is None:
        skip_unless_required(what, f"the package {package} is not installed")
