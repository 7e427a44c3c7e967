"""Whatever is wrong is told in one clear line, with a status that is not zero and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.caller import Plugin, quoted, write_config
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

HEAD = "executablepath: /x\noptions:\n"
URL = HEAD + "  url: file:///tmp\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("options: {url: [}", "is not valid YAML (line 1)"),
        (f"{URL}  backup_multipart_chunksizes: 8MB\n", "did you mean 'backup_multipart_chunksize'?"),
        (f"{URL}  storage_options: 'compress: true'\n", "file:// knows no option 'compress'"),
        (f"{HEAD}  url: s4://bucket\n", "fsspec knows no protocol 's4'; did you mean s3://?"),
    ],
)
def test_a_configuration_that_cannot_be_used(local: Plugin, content: str, words: str) -> None:
    """`tests/unit/test_config_mistakes.py` has many more of them."""
    local.config.write_text(content)
    result = local.run("setup_plugin_for_backup", local.database.directory(), "master", "-1")
    result.failed(words, str(local.config), status=2)
    assert result.out == b""


def test_a_configuration_that_is_not_there(local: Plugin) -> None:
    path = local.database.table()
    local.run("backup_data", path, config=Path("/no/such/config")).failed("/no/such/config: can't be read", status=2)
    local.run("backup_data", path, config=local.database.folder).failed("Is a directory", status=2)
    local.shell(str(local.executable) + " backup_data").failed("backup_data CONFIG FILE`, got 0 arguments", status=2)


def test_a_secrets_file_that_others_can_read(local: Plugin, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("auto_mkdir: true\n")
    local.config.write_text(f"{HEAD}  url: file://{tmp_path}/disk\n  storage_options_file: {secrets}\n")
    secrets.chmod(0o644)
    local.run("list_directory").failed(f"run `chmod 600 {secrets}`", status=2)
    secrets.chmod(0o600)
    local.run("list_directory").succeeded()


@pytest.mark.parametrize("command", ["backup_datas", "backup", "", "--verison"])
def test_an_unknown_command(local: Plugin, command: str) -> None:
    result = local.shell(f"{local.executable} '{command}' {local.config}").failed("unknown command", status=2)
    if command == "backup_datas":
        assert "did you mean 'backup_data'?" in result.err


COMMANDS = ["setup_plugin_for_backup", "backup_data", "restore_data", "setup_plugin_for_restore", "delete_backup"]


def call(plugin: Plugin, command: str, config: Path) -> Any:
    """Any of the commands with arguments that fit it."""
    database = plugin.database
    arguments = {
        "backup_data": [database.table()],
        "restore_data": [database.table()],
        "delete_backup": [database.timestamp],
    }.get(command, [database.directory(), "master", "-1"])
    return plugin.run(command, *arguments, config=config, stdin=b"x" * 100, seconds=110)


def s3_config(tmp_path: Path, minio: Minio, bucket: str, **changes: Any) -> Path:
    # Data would wait for the host for minutes.
    return write_config(tmp_path / "s3.yaml", f"s3://{bucket}/bad-input", {**minio.options, **changes}, max_retries=1)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_credentials(local: Plugin, minio: Minio, tmp_path: Path, command: str) -> None:
    config = s3_config(tmp_path, minio, minio.bucket, secret="entirely-wrong")
    result = call(local, command, config).failed(status=1)
    assert "secret" in result.err or "access denied" in result.err
    assert "entirely-wrong" not in result.err + local.database.log()
    config = s3_config(tmp_path, minio, minio.bucket, key="nobody-knows-me")
    result = call(local, command, config).failed(status=1)
    assert "access key" in result.err or "access denied" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bucket_that_is_not_there(local: Plugin, minio: Minio, tmp_path: Path, command: str) -> None:
    call(local, command, s3_config(tmp_path, minio, "no-such-bucket")).failed("the bucket does not exist", status=1)


@pytest.mark.parametrize("command", COMMANDS[:3])
def test_a_host_that_refuses(local: Plugin, minio: Minio, tmp_path: Path, command: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        config = s3_config(tmp_path, minio, minio.bucket, endpoint_url=endpoint)
        call(local, command, config).failed("can't connect", endpoint, status=3)


def test_a_host_whose_name_means_nothing(local: Plugin, minio: Minio, tmp_path: Path) -> None:
    config = s3_config(tmp_path, minio, minio.bucket, endpoint_url="http://no-such-host.invalid:9000")
    call(local, "setup_plugin_for_backup", config).failed("no-such-host.invalid", status=3)


def test_a_server_that_speaks_no_tls(local: Plugin, minio: Minio, tmp_path: Path) -> None:
    config = s3_config(tmp_path, minio, minio.bucket, endpoint_url=minio.endpoint.replace("http:", "https:"))
    call(local, "setup_plugin_for_backup", config).failed("TLS", status=3)


def mount(options: str, folder: Path) -> None:
    """A small file system, where root may mount one: in some containers it may not."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        skip_unless_required("mount", f"root can't mount here: {done.stderr.decode().strip()}")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory that this user cannot write: root needs a file system for it."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() == 0:
        mount("ro,size=1m", folder)
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)


def test_a_target_that_is_read_only(local: Plugin, read_only: Path) -> None:
    config = write_config(local.database.folder / "c.yaml", f"file://{read_only}/backups")
    words = "read-only" if os.geteuid() == 0 else "permission denied"
    for command in ("setup_plugin_for_backup", "backup_data"):
        call(local, command, config).failed(words, str(read_only))
    assert list(read_only.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        skip_unless_required("mount", "only root can mount one; the file size limit is tested for everybody")
    mount("size=4m", folder)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up(local: Plugin, small_disk: Path) -> None:
    config = write_config(local.database.folder / "c.yaml", f"file://{small_disk}")
    for size in (5 << 20, 50 << 20):
        local.run("backup_data", local.database.table(), stdin=os.urandom(size), config=config).failed(
            "the disk is full", local.database.key(local.database.table()), status=1
        )
        assert list(small_disk.iterdir()) == []
    local.run("backup_data", local.database.table(), stdin=b"fits", config=config).succeeded()


def test_a_file_size_limit(local: Plugin, tmp_path: Path) -> None:
    line = f"ulimit -f 1000; exec {local.command('backup_data', local.database.table())}"
    local.shell(line, os.urandom(5 << 20)).failed("the file would exceed the size limit", status=1)
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_directory_that_is_missing_is_noticed(local: Plugin, tmp_path: Path) -> None:
    """It may not be mounted on this host: what were written below its mount point would be lost to all others."""
    where = tmp_path / "not" / "mounted"
    may_be_made = write_config(tmp_path / "may.yaml", f"file://{where}")
    (where).rmdir()
    (where.parent).rmdir()
    may_not = write_config(tmp_path / "may-not.yaml", f"file://{where}", {"auto_mkdir": False})
    for command, config in (
        ("backup_data", may_not),
        ("backup_data", may_be_made),
        ("delete_backup", may_be_made),
        ("setup_plugin_for_backup", may_not),
    ):
        call(local, command, config).failed("does not exist; mount or create it", str(where), status=3)
    assert not where.parent.exists()


def test_a_target_that_is_a_link_to_nowhere(local: Plugin, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "not-mounted")
    config = write_config(tmp_path / "c.yaml", f"file://{tmp_path}/link")
    call(local, "backup_data", config).failed("is a link to a directory that does not exist; mount it", status=3)


def test_help_is_for_people(local: Plugin) -> None:
    text = local.shell(f"{local.executable} --help").succeeded().out.decode()
    for command in ("backup_data CONFIG FILE", "delete_backup CONFIG TIMESTAMP", "plugin_api_version", "--version"):
        assert command in text
    assert max(map(len, text.splitlines())) <= 120
    text = local.shell(f"{local.executable} restore_data_subset CONFIG --help").succeeded().out.decode()
    for words in ("byte ranges", "CONFIG", "FILE", "OFFSETS", "ends exclusive"):
        assert words in text
    assert local.shell(quoted(local.executable)).status == 2
