"""`init`, as a person in a terminal and a script call it; what it makes is used for a backup."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.terminal import Terminal
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Plugin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Database
    from tests.servers.minio import Minio

SECRET = "n0body-knows-this"


class Host:
    """A host with a home, on which nothing is set up."""

    def __init__(self, database: Database) -> None:
        self.home = database.folder / "home"
        self.file = self.home / "plugin.yaml"
        self.secrets = self.home / ".fsspec_gp_plugin/plugin.secrets.yaml"
        self.plugin = Plugin(database, self.file)

    def init(self, *words: str) -> Any:
        """Call it as a script does."""
        return self.plugin.shell(" ".join([str(EXECUTABLE), "init", *words]))

    def terminal(self, *words: str) -> Terminal:
        """Call it as a person does."""
        return Terminal([str(EXECUTABLE), "init", *words], self.plugin.database.environment())


@pytest.fixture
def host(database: Database) -> Host:
    return Host(database)


def content(file: Path) -> Any:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return yaml.load(file.read_text(), yaml.BaseLoader)  # noqa: S506 - makes nothing but text


def test_a_person_is_asked_and_can_back_up(host: Host, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    terminal = host.terminal()
    terminal.answer("Configuration file [", "\n")
    terminal.answer("Number [1]: ", "nonsense\n")
    terminal.answer("expected a number from 1 to", "disk\n")
    terminal.answer("Directory, the same on every host: ", "\n")
    terminal.answer("an answer is required", "relative\n")
    terminal.answer("expected an absolute path", f"{tmp_path}/disk\n")
    terminal.answer("[yes]: ", "\n")
    terminal.answer("(empty: no encryption): ", "\n")
    assert terminal.end() == 0, terminal.screen
    assert f"doctor {host.file}" in terminal.screen
    assert f"gpbackup --dbname DATABASE --plugin-config {host.file}" in terminal.screen
    found = content(host.file)
    assert found == {
        "executablepath": str(EXECUTABLE),
        "options": {"url": f"file://{tmp_path}/disk", "storage_options": "auto_mkdir: false\n"},
    }
    assert [path.name for path in host.home.iterdir() if "part" in path.name] == []
    host.plugin.setup("setup_plugin_for_backup")


def test_secrets_are_not_shown_and_go_to_a_file_of_their_own(host: Host, minio: Minio) -> None:
    terminal = host.terminal(str(host.file))
    terminal.answer("Number [1]: ", "2\n")
    terminal.answer("Address of the store", f"{minio.endpoint}\n")
    terminal.answer("Bucket: ", "s3://no\n")
    terminal.answer("expected the name of a bucket", f"{minio.bucket}\n")
    terminal.answer("Prefix of all backups in it [greenplum]: ", "\n")
    terminal.answer("Region", "\n")
    terminal.answer("authority", "/not/there\n")
    terminal.answer("there is no file /not/there", "\n")
    terminal.answer("Access key id: ", f"{minio.options['key']}\n")
    terminal.answer("Secret access key: ", f"{minio.options['secret']}\n")
    terminal.answer("(empty: no encryption): ", "\n")
    assert terminal.end() == 0, terminal.screen
    assert minio.options["secret"] not in terminal.screen
    assert content(host.secrets) == {name: minio.options[name] for name in ("key", "secret")}
    found = content(host.file)["options"]
    assert found["url"] == f"s3://{minio.bucket}/greenplum"
    assert found["storage_options_file"] == str(host.secrets)
    assert set(yaml.safe_load(found["storage_options"])) == {"endpoint_url"}
    assert host.plugin.run("list").succeeded().out


def test_an_interrupted_or_unanswered_one_writes_nothing(host: Host) -> None:
    for key, status in (("\x03", 130), ("\x04", 2)):
        terminal = host.terminal(str(host.file), "--url", "s3://bucket/prefix")
        terminal.answer("Region", "\n")
        terminal.answer("Access key id", "k\n")
        terminal.answer("Secret access key: ", key)
        assert terminal.end() == status, terminal.screen
        assert "Traceback" not in terminal.screen
    assert list(host.home.rglob("*.yaml*")) == []


def test_a_script_gives_all_at_once(host: Host) -> None:
    secrets = host.home / "mine.yaml"
    secrets.write_text(f"key: k\nsecret: {SECRET}\n")
    secrets.chmod(0o600)
    words = [
        str(host.file),
        "--url",
        "s3://bucket/a",
        "--secrets-file",
        "~/mine.yaml",
        "--option",
        "agent=off",
        "--json",
    ]
    more = ["--storage-option", "client_kwargs.region_name=eu-1", "--storage-option", "use_ssl=false"]
    told = json.loads(host.init(*words, *more).succeeded().out)
    assert told == {
        "config": str(host.file),
        "executable": str(EXECUTABLE),
        "url": "s3://bucket/a",
        "storage_options_file": str(secrets),
        "new_identity": None,
        "next": [f"{EXECUTABLE} doctor {host.file}", f"gpbackup --dbname DATABASE --plugin-config {host.file}"],
    }
    found = content(host.file)["options"]
    assert found["agent"] == "off"
    assert yaml.safe_load(found["storage_options"]) == {"client_kwargs": {"region_name": "eu-1"}, "use_ssl": False}
    before = host.file.read_text()
    host.init(str(host.file), "--url", "s3://bucket/b").failed(str(host.file), "exists", "--force", status=2)
    assert host.file.read_text() == before
    host.init(str(host.file), "--url", "s3://bucket/b", "--force").succeeded()
    assert content(host.file)["options"] == {"url": "s3://bucket/b"}


def test_a_secret_among_the_arguments_must_be_insisted_on(host: Host) -> None:
    words = [
        str(host.file),
        "--url",
        "s3://bucket/a",
        "--storage-option",
        "key=k",
        "--storage-option",
        f"secret={SECRET}",
    ]
    done = host.init(*words).failed("--storage-option secret", status=2)
    assert SECRET not in done.err
    assert not host.file.exists()
    done = host.init(*words, "--secrets-in-arguments").succeeded()
    assert SECRET not in done.out.decode() + host.file.read_text()
    assert content(host.secrets) == {"key": "k", "secret": SECRET}
    host.file.unlink()
    host.init(*words, "--secrets-in-arguments").failed(str(host.secrets), "exists", status=2)
    assert not host.file.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "FILE and --url must be given"),
        ("~/p.yaml", "--url must be given"),
        ("~/p.yaml --url bucket", "expected PROTOCOL://"),
        (f"~/p.yaml --url sftp://me:{SECRET}@host/x", "a password in it would be stored in the configuration"),
        ("~/no/p.yaml --url s3://b/p", "there is no directory"),
        ("'~/a b.yaml' --url s3://b/p", "without spaces"),
        ("~/p.yaml --url s3://b/p --option agnet=on", "did you mean 'agent'?"),
        ("~/p.yaml --url s3://b/p --option agent=maybe", "expected on or off"),
        ("~/p.yaml --url s3://b/p --option agent", "expected NAME=VALUE"),
        (f"~/p.yaml --url s3://b/p --option aws_secret_access_key={SECRET}", "use --secrets-file"),
        (
            f"~/p.yaml --url s3://b/p --option 'replica_storage_options={{secret: {SECRET}}}'",
            "use --secrets-file",
        ),
        ("~/p.yaml --url s3://b/p --secrets-file ~/none.yaml", "the file does not exist"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(host: Host, words: str, told: str) -> None:
    done = host.init(words).failed(told, status=2)
    assert SECRET not in done.err
    assert list(host.home.rglob("*.yaml*")) == []
