"""Where secrets may stand, and that none gets where others read."""

from __future__ import annotations

import base64
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from fsspec_gp_plugin.storage.open import open_store
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Plugin, Result, write_config
from tests.protocol.conftest import unique_prefix
from tests.protocol.made_backups import call_hook
from tests.servers.echo import TelltaleServer

if TYPE_CHECKING:
    from tests.protocol.conftest import Target
    from tests.servers.minio import Minio

T = "20260102030405"
SECRET = "minio-test-password"
HIDDEN = {
    "secret": "hidden-by-its-name",
    "client_kwargs": {"aws_session_token": "hidden-below-a-mapping", "region_name": "shown-region"},
    "connection_string": "AccountName=shown;AccountKey=hidden-in-text;",
    "proxies": ["http://someone:hidden-in-url@proxy.test:80"],
    "token": {
        "private_key": "-----BEGIN PRIVATE KEY-----\nhidden-key\n-----END PRIVATE KEY-----",
        "type": "hidden-too",
    },
    "config_kwargs": {"headers": {"Authorization": "Bearer hidden-header", "Cookie": "hidden-cookie"}},
    "url": "https://shown.test/x?X-Amz-Signature=hidden-signature&X-Amz-Date=shown",
    "endpoint_url": "https://shown.test",
}


def encrypt(key_file: Path, secret: str) -> Result:
    done = subprocess.run(
        [str(EXECUTABLE), "encrypt-secret", str(key_file)],
        input=secret.encode() + b"\n",
        capture_output=True,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def stored(target: Target, name: str) -> bytes:
    store = open_store(target.url, target.options)
    info = store.stat(f"backups/20260102/{T}/{name}")
    data = bytearray(info.size)
    for _ in store.read(info, 0, memoryview(data)):
        pass
    store.close()
    return bytes(data)


def test_the_configuration_is_stored_without_its_secrets(plugin: Plugin, target: Target) -> None:
    folder = Path(plugin.database.directory(-1))
    folder.mkdir(parents=True)
    path = folder / f"gpbackup_{T}_plugin_config.yaml"
    write_config(path, "sftp://someone:hidden-password@shown.test/x", HIDDEN, storage_options_file="/shown/path")
    before = path.read_bytes()
    plugin.run("backup_file", str(path)).succeeded()
    assert path.read_bytes() == before
    text = stored(target, path.name).decode()
    assert "hidden" not in text, text
    assert text.count("shown") == 3, text  # two hosts and a region
    assert set(yaml.safe_load(text)) == {"executablepath", "options"}
    for command in (["backup_directory", str(folder)], ["backup_directory_parallel", str(folder), "3"]):
        plugin.run(*command).succeeded()
        assert stored(target, path.name).decode() == text
    path.unlink()
    plugin.run("restore_file", str(path)).succeeded()
    assert path.read_text() == text


@pytest.mark.parametrize("content", ["[not a mapping", "a: [hidden]", "options: hidden", "hidden"])
def test_what_is_no_configuration_is_not_stored_in_its_place(local: Plugin, tmp_path: Path, content: str) -> None:
    folder = Path(local.database.directory(-1))
    folder.mkdir(parents=True)
    path = folder / f"gpbackup_{T}_plugin_config.yaml"
    path.write_text(content)
    local.run("backup_file", str(path)).succeeded()
    assert "hidden" not in (tmp_path / "disk" / f"backups/20260102/{T}" / path.name).read_text()


def test_literal_secrets_are_warned_of_once_in_the_log(plugin: Plugin, target: Target) -> None:
    plugin.setup("setup_plugin_for_backup")
    warnings = [line for line in plugin.database.log().splitlines() if "[WARNING]" in line]
    assert len(warnings) == (1 if target.kind == "s3" else 0)
    if warnings:
        assert "storage_options hold secrets as they are (key, secret)" in warnings[0]


@pytest.mark.parametrize("where", ["file", "variable"])
def test_secrets_that_are_kept_apart_are_not_warned_of(
    plugin: Plugin, minio: Minio, tmp_path: Path, where: str
) -> None:
    options = dict(minio.options)
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text(yaml.safe_dump({"key": options["key"], "secret": options["secret"]}))
    secrets.chmod(0o600)
    if where == "file":
        del options["key"], options["secret"]
        write_config(
            plugin.config, f"s3://{minio.bucket}/apart/{unique_prefix()}", options, storage_options_file=str(secrets)
        )
    else:
        plugin.database.extra = {"MINIO_KEY": options["key"], "MINIO_SECRET": options["secret"]}
        options |= {"key": "${MINIO_KEY}", "secret": "${MINIO_SECRET}"}
        write_config(plugin.config, f"s3://{minio.bucket}/apart/{unique_prefix()}", options)
    call_hook(plugin, "setup_plugin_for_backup")
    assert "[WARNING]" not in plugin.database.log()


@pytest.mark.with_agent
def test_encrypted_values_are_opened_by_the_key_that_gpbackup_passes(
    plugin: Plugin, minio: Minio, tmp_path: Path
) -> None:
    keys = tmp_path / ".encrypt"
    keys.write_text("another_plugin: its-own-key")
    keys.chmod(0o600)
    done = encrypt(keys, SECRET)
    assert (done.status, done.err.startswith("A new key stands in ")) == (0, True)
    value = done.out.decode().strip()
    assert value.startswith("encrypted:")
    key = yaml.safe_load(keys.read_text())["fsspec_gp_plugin"]
    assert yaml.safe_load(keys.read_text())["another_plugin"] == "its-own-key"
    # The next one is made with the same key, and of the same secret comes another value.
    again = encrypt(keys, SECRET).succeeded().out.decode().strip()
    assert again != value
    url, options = f"s3://{minio.bucket}/encrypted/{unique_prefix()}", {**minio.options, "secret": value}
    path = plugin.database.table()
    write_config(plugin.config, url, options, password_encryption="on", fsspec_gp_plugin=key)
    call_hook(plugin, "setup_plugin_for_backup")
    plugin.run("backup_data", path, stdin=b"rows").succeeded()
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    for text in (value, key, SECRET):
        assert text not in plugin.database.log()
    assert "[WARNING]" not in plugin.database.log() or "(key)" in plugin.database.log()
    # A person on the coordinator needs no key in the file.
    write_config(plugin.config, url, options)
    plugin.run("list_directory").failed("encrypted values, but there is no key to them", status=2)
    plugin.database.extra = {"COORDINATOR_DATA_DIRECTORY": str(tmp_path)}
    plugin.run("list_directory").succeeded()
    keys.chmod(0o644)
    plugin.run("list_directory").failed("is open to other users; run `chmod 600", status=2)


def test_an_encrypted_value_and_a_key_that_do_not_fit_are_told(local: Plugin, tmp_path: Path) -> None:
    value = encrypt(tmp_path / "a", SECRET).out.decode().strip()
    encrypt(tmp_path / "b", SECRET)
    other = yaml.safe_load((tmp_path / "b").read_text())["fsspec_gp_plugin"]
    for options, key in (({"x": value}, other), ({"x": value[:-10]}, other), ({"x": "encrypted:"}, other)):
        write_config(local.config, "sftp://host.test/x", options, fsspec_gp_plugin=key)
        done = local.run("list_directory").failed("does not belong to the key, or is damaged", status=2)
        assert value not in done.err
    write_config(local.config, "sftp://host.test/x", {"x": value}, fsspec_gp_plugin="too-short")
    assert "too-short" not in local.run("list_directory").failed("none of this plugin's", status=2).err


def test_encrypt_secret_refuses_what_can_not_be(tmp_path: Path) -> None:
    assert "the secret is empty" in encrypt(tmp_path / "keys", "").err
    assert not (tmp_path / "keys").exists()
    assert "can't write" in encrypt(tmp_path / "not" / "there", SECRET).err
    (tmp_path / "open").write_text("x: y\n")
    assert "is open to other users" in encrypt(tmp_path / "open", SECRET).err
    done = subprocess.run([str(EXECUTABLE), "encrypt-secret"], capture_output=True, env={"PATH": "/bin"}, check=False)
    assert (done.returncode, b"name the file of keys" in done.stderr) == (2, True)


def test_the_key_file_is_private(tmp_path: Path) -> None:
    line = f"umask 0; echo {SECRET} | {EXECUTABLE} encrypt-secret {tmp_path}/keys"
    subprocess.run(["sh", "-c", line], check=True, capture_output=True)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_what_turns_protection_off_is_in_the_log(local: Plugin) -> None:
    local.database.extra = {"FAR": "http://far.test"}
    options = {"endpoint_url": "${FAR}", "key": "k", "secret": "${FAR}"}
    write_config(local.config, "s3://bucket/x", options, timeout="1s", max_retries="0")
    local.run("setup_plugin_for_restore", local.database.directory(), "segment_host").failed()
    log = local.database.log()
    assert "[WARNING]:-requests go to far.test without TLS: anybody on the way may read and change" in log


def _providers(port: int, secret: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """For each provider a URL and options that hold a secret in all the places where one may stand."""
    plain = f"http://127.0.0.1:{port}"
    key = base64.b64encode(secret.encode()).decode()
    return {
        "s3": ("s3://bucket/x", {"endpoint_url": plain, "key": f"A{secret}", "secret": secret, "token": f"T{secret}"}),
        "s3fs": (
            "s3://bucket/x",
            {"endpoint_url": plain, "key": "AKEY", "secret": secret, "config_kwargs": {"signature_version": "s3"}},
        ),
        "azure": (
            "abfs://container/x",
            {"connection_string": f"AccountName=a;AccountKey={key};BlobEndpoint={plain}/a"},
        ),
        "azure sas": (
            "abfs://container/x",
            {"connection_string": f"BlobEndpoint={plain}/a;SharedAccessSignature=sv=2024-01-01&sp=rw&sig={secret}"},
        ),
        "webdav": (f"webdav://127.0.0.1:{port}/x", {"base_url": plain, "auth": ["me", secret]}),
        "webdav in the url": (f"webdav://127.0.0.1:{port}/x", {"base_url": f"http://me:{secret}@127.0.0.1:{port}"}),
        "webhdfs": ("webhdfs://127.0.0.1/x", {"host": "127.0.0.1", "port": port, "user": "me", "password": secret}),
        "ftp": (f"ftp://me:{secret}@127.0.0.1:{port}/x", {}),
        "sftp": (f"sftp://127.0.0.1:{port}/x", {"username": "me", "password": secret}),
        "nowhere": (f"s3://me:{secret}@bucket/x", {"no_such_option": {"password": secret}}),
    }


@pytest.mark.parametrize(
    ("provider", "status"),
    [
        (name, status)
        for name in _providers(0, "")
        for status in (403, 503)
        if status == 503 or name in ("s3", "azure", "webdav")  # a refusal, by each way of making requests
    ],
)
def test_a_server_that_repeats_what_it_was_sent_makes_no_secret_known(
    local: Plugin, provider: str, status: int
) -> None:
    """Every error path of a command, with everything logged."""
    secret = random.Random(f"{provider} {status}").randbytes(15).hex()
    with TelltaleServer(status) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url, options = _providers(server.server_port, secret)[provider]
        write_config(local.config, url, options, logger_verbosity="debug", max_retries="0", timeout="2s")
        folder = Path(local.database.directory(-1))
        folder.mkdir(parents=True)
        database = local.database
        told = ""
        for command in (
            ["backup_data", database.table()],
            ["restore_data", database.table()],
            ["setup_plugin_for_backup", str(folder), "master"],
        ):
            done = local.run(*command, stdin=b"rows").failed()
            told += done.err + done.out.decode()
        server.shutdown()
    told += database.log()
    for form in (secret, f"me:{secret}", f"A{secret}"):
        for text in (form, base64.b64encode(form.encode()).decode(), quote(form, safe="")):
            assert text not in told


def test_the_executable_of_this_interpreter_is_tested() -> None:
    assert Path(sys.executable).parent == EXECUTABLE.parent
