"""Who the server is, and who we are: what SFTP refuses, in one line that says what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED

from fsspec_gp_plugin.errors import AccessDenied, ConfigError, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.servers.ports import closed_port
from tests.servers.sshd import make_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.sshd import Sshd

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"
FSYNC, RENAME = "fsync@openssh.com", "posix-rename@openssh.com"


def fails(url: str, options: dict[str, Any], kind: type[Exception], words: str) -> None:
    store = open_store(url, options, timeout=10)
    with pytest.raises(StorageError, match=words) as caught:
        store.stat(KEY)
    store.close()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_host_whose_key_is_unknown_is_refused(sftp: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("")
    options = {**sftp.options, "known_hosts": str(tmp_path / "known")}
    fails(sftp.url, options, StorageError, f"is not known; compare what `ssh-keyscan -p {sftp.port} 127.0.0.1`")


def test_a_host_whose_key_has_changed_is_refused_whatever_the_policy(sftp: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sftp.port} {(tmp_path / 'other.pub').read_text()}")
    for policy in ("reject", "auto_add"):
        options = {**sftp.options, "known_hosts": str(tmp_path / "known"), "host_key_policy": policy}
        fails(sftp.url, options, StorageError, "is not the one in known_hosts")


def test_any_key_is_taken_where_the_options_say_so(sftp: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("")
    options = {**sftp.options, "known_hosts": str(tmp_path / "known"), "host_key_policy": "auto_add"}
    store = open_store(f"{sftp.url}/any", options)
    store.put(KEY, memoryview(b"data"))
    assert store.stat(KEY).size == 4
    store.close()
    assert (tmp_path / "known").read_text() == ""


def test_a_user_whom_the_server_does_not_know_is_told(sftp: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    options = {**sftp.options, "key_filename": str(tmp_path / "stranger")}
    fails(sftp.url, options, AccessDenied, "check username, key_filename or password")


def test_an_encrypted_key_needs_its_passphrase(sftp: Sshd, tmp_path: Path) -> None:
    authorized = sftp.keys / "authorized"
    before = authorized.read_text()
    make_key(tmp_path / "locked", "-N", "open sesame")
    authorized.write_text(before + (tmp_path / "locked.pub").read_text())
    try:
        options = {**sftp.options, "key_filename": str(tmp_path / "locked")}
        fails(sftp.url, options, AccessDenied, "set passphrase in storage_options")
        store = open_store(f"{sftp.url}/locked", {**options, "passphrase": "open sesame"})
        assert list(store.find("")) == []
        store.close()
    finally:
        authorized.write_text(before)


def test_a_host_that_refuses_is_out_of_reach(sftp: Sshd) -> None:
    port = closed_port()
    fails(f"sftp://127.0.0.1:{port}/x", {**sftp.options, "port": port}, Unreachable, "can't connect")


def test_what_is_written_is_private(sftp: Sshd) -> None:
    store = open_store(f"{sftp.url}/private", sftp.options)
    store.put(KEY, memoryview(b"data"))
    store.close()
    file = sftp.folder / "private" / KEY
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert os.stat(file.parent).st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"usrename": "x"}, "knows no option 'usrename'"),
        ({"username": 5}, "username of sftp:// must be text"),
        ({"host_key_policy": "never"}, "must be one of reject, auto_add, warning"),
        ({"known_hosts": "/not/there"}, "the file /not/there that known_hosts names"),
        ({"key_filename": "/not/there"}, "the file /not/there that key_filename names"),
        ({"port": "many"}, "port of sftp:// must be a number"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_store("sftp://host/dir", options)


class Requests:
    """What the client asks the server for: the numbers of its requests, and the names of those beyond the protocol."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.refused = ""
        request = paramiko.SFTPClient._request

        def recorded(client: Any, number: int, *arguments: Any) -> Any:
            self.asked.append(arguments[0] if number == CMD_EXTENDED else number)
            if self.refused and self.asked[-1] == FSYNC:
                raise OSError(self.refused)
            return request(client, number, *arguments)

        monkeypatch.setattr(paramiko.SFTPClient, "_request", recorded)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    return Requests(monkeypatch)


@pytest.mark.parametrize("refused", ["", "Operation unsupported"])
def test_an_object_is_on_the_servers_disk_before_it_gets_its_name(
    sftp: Sshd, requests: Requests, tmp_path: Path, refused: str
) -> None:
    """Where the server can do that."""
    requests.refused = refused
    store = open_store(f"{sftp.url}/{tmp_path.name}", sftp.options)
    store.put(KEY, memoryview(b"data"))
    steps = [asked for asked in requests.asked if asked in (FSYNC, CMD_CLOSE, RENAME)]
    assert steps == [FSYNC, CMD_CLOSE, RENAME]
    assert store.stat(KEY).size == 4
    store.close()


def test_an_object_that_can_not_be_brought_to_the_servers_disk_is_no_object(
    sftp: Sshd, requests: Requests, tmp_path: Path
) -> None:
    requests.refused = "Failure"
    store = open_store(f"{sftp.url}/{tmp_path.name}", sftp.options)
    with pytest.raises(StorageError, match=f"can't write .*{KEY}.*Failure"):
        store.put(KEY, memoryview(b"data"))
    assert RENAME not in requests.asked
    assert list(store.find("", unfinished=True)) == []
    store.close()
