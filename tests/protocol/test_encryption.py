"""Encrypted backups, as gpbackup makes and restores them: whatever is stored opens only to those it was made for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.header import format_header, parse_header
from fsspec_gp_plugin.age.x25519 import find_file_key
from tests.protocol.encrypted import (
    back_up_with_hooks,
    gpbackups_own,
    make_keys,
    name_in,
    put_object,
    read_object,
    with_options,
)
from tests.protocol.made_backups import PREFIX, T, call_hook, kept
from tests.sealing import encrypt

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

LARGE = os.urandom(11 << 20)
CLAIMS = f"{PREFIX}fsspec_gp_plugin/claim"


def claim_at(target: Target) -> dict[str, object]:
    key = next(key for key in target.keys() if key.startswith(CLAIMS))  # noqa: SIM118 - a method of ours
    return dict(json.loads(read_object(target, key)))


@pytest.mark.with_agent
def test_all_of_a_backup_is_encrypted_and_comes_back(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    keys, metadata = make_keys(tmp_path), make_keys(tmp_path, "metadata.txt")
    recipients = {
        "encryption_recipients": keys.recipient,
        "encryption_metadata_recipients": metadata.recipient,
    }
    writing = with_options(plugin, "writing", **recipients)
    database = plugin.database
    tables = {database.table(1): b"", database.table(2): b"rows" * 1000, database.table(3, suffix=".gz"): LARGE}
    writing.setup("setup_plugin_for_backup")
    back_up_with_hooks(writing, tables)

    claim = claim_at(target)
    assert claim["encryption"] == {"recipients": [keys.recipient], "metadata_recipients": [metadata.recipient]}
    stored = gpbackups_own(target)
    assert len(stored) == len(tables) + 3
    for key in stored:
        data = read_object(target, key)
        assert name_in(data) == (key, claim["token"])
        header = parse_header(data)
        assert header is not None
        assert find_file_key(header.stanzas, [keys.identity]) is not None
        is_of_coordinator = f"gpbackup_{T}_" in key
        assert (find_file_key(header.stanzas, [metadata.identity]) is not None) == is_of_coordinator

    reading = with_options(plugin, "reading", encryption_identity_file=keys.path)
    reading.setup("setup_plugin_for_restore")
    for path, content in tables.items():
        assert reading.run("restore_data", path).succeeded().out == content
    offsets = tmp_path / "offsets"
    offsets.write_text(f"2 10 20 {len(LARGE) - 70_000} {len(LARGE)}")
    subset = reading.run("restore_data_subset", database.table(3, suffix=".gz"), str(offsets)).succeeded()
    assert subset.out == LARGE[10:20] + LARGE[-70_000:]
    path = database.file(f"gpbackup_{T}_toc.yaml", -1)
    Path(path).unlink()
    reading.run("restore_file", path).succeeded()
    assert Path(path).read_text() == "toc.yaml of it"
    reading.setup("cleanup_plugin_for_restore")
    assert kept(database) == []
    for secret in (keys.identity.text, metadata.identity.text):
        assert secret not in database.log()


@pytest.mark.parametrize("checksum", ["crc32c", "off"])
def test_objects_that_are_not_what_they_are_called_are_refused(
    plugin: Plugin, target: Target, tmp_path: Path, checksum: str
) -> None:
    keys = make_keys(tmp_path)
    writing = with_options(plugin, "writing", encryption_recipients=keys.recipient)
    database = plugin.database
    table, other = database.table(1), database.table(2)
    key = database.key(table)
    back_up_with_hooks(writing, {table: b"rows a", other: b"rows b"})
    token = str(claim_at(target)["token"])
    rightful = read_object(target, key)

    reading = with_options(plugin, "reading", encryption_identity_file=keys.path, checksum=checksum)
    call_hook(reading, "setup_plugin_for_restore")
    # The hook has kept what the claim says: who takes the claim away changes nothing.
    with target.store() as store:
        store.delete([one for one in target.keys() if one.startswith(CLAIMS)])  # noqa: SIM118

    size = len(rightful)
    by_age = format_header([keys.identity.recipient.wrap(bytes(16))], bytes(16))
    swapped = {
        "another object was put in its place": read_object(target, database.key(other)),
        "another backup of the same timestamp": encrypt(key, b"rows a", "f" * 32, keys.identity),
        "is not encrypted": b"x" * size,
        "does not say which object it is": by_age + bytes(16 + 16),
    }
    for words, data in swapped.items():
        put_object(target, key, data)
        refused = reading.run("restore_data", table).failed()
        assert refused.out == b""
        if checksum == "off":
            assert words in refused.err, refused.err
            path = f"{database.folder}/gpseg1/{key}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            reading.run("restore_file", path).failed(words)
            assert os.listdir(os.path.dirname(path)) == []
            offsets = tmp_path / "offsets"
            offsets.write_text("1 0 3")
            assert reading.run("restore_data_subset", table, str(offsets)).failed(words).out == b""
    put_object(target, key, encrypt(key, b"rows c", token, keys.identity) if checksum == "off" else rightful)
    assert reading.run("restore_data", table).succeeded().out == (b"rows c" if checksum == "off" else b"rows a")


def test_without_hooks_objects_are_encrypted_and_opened_all_the_same(
    plugin: Plugin, target: Target, tmp_path: Path
) -> None:
    """As by people and scripts, and with the S3 plugin's backups, which nobody claims."""
    keys = make_keys(tmp_path)
    both = with_options(plugin, "both", encryption_recipients=keys.recipient, encryption_identity_file=keys.path)
    table, earlier = plugin.database.table(1), plugin.database.table(2)
    plugin.run("backup_data", earlier, stdin=b"plain rows").succeeded()
    both.run("backup_data", table, stdin=b"rows").succeeded()
    assert name_in(read_object(target, plugin.database.key(table))) == (plugin.database.key(table), "-")
    assert both.run("restore_data", table).succeeded().out == b"rows"
    assert both.run("restore_data", earlier).succeeded().out == b"plain rows"
    plugin.run("restore_data", table).failed("there is no identity", "encryption_identity_file")
    # All hosts have the same configuration, and only some have the file: a plain object needs none.
    lost = with_options(plugin, "lost", encryption_identity_file=tmp_path / "not there")
    assert lost.run("restore_data", earlier).succeeded().out == b"plain rows"
    lost.run("restore_data", table).failed("identities could not be loaded", "not there")


def test_a_plain_backup_opens_whatever_the_configuration_says(plugin: Plugin, tmp_path: Path) -> None:
    """Also data that begins like an encrypted object is given back as it was stored."""
    keys = make_keys(tmp_path)
    table = plugin.database.table(1)
    data = encrypt("key", b"of somebody else", identity=keys.identity)
    back_up_with_hooks(plugin, {table: data})
    both = with_options(
        plugin, "both", encryption_recipients=keys.recipient, encryption_identity_file=tmp_path / "not there"
    )
    call_hook(both, "setup_plugin_for_restore")
    assert both.run("restore_data", table).succeeded().out == data


def test_directories_are_encrypted_and_come_back(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    both = with_options(plugin, "both", encryption_recipients=keys.recipient, encryption_identity_file=keys.path)
    folder = tmp_path / "etc"
    folder.mkdir()
    for number in range(12):
        (folder / str(number)).write_bytes(bytes(range(number)))
    both.run("backup_directory_parallel", str(folder), "4").succeeded()
    for key in target.keys():  # noqa: SIM118
        assert name_in(read_object(target, key)) == (key, "-")
    shutil.rmtree(folder)
    both.run("restore_directory_parallel", str(folder), "4").succeeded()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        str(number): bytes(range(number)) for number in range(12)
    }


@pytest.mark.parametrize("is_claimed", [True, False])
def test_a_whole_backup_is_fetched_decrypted_and_stored_again(
    plugin: Plugin, target: Target, tmp_path: Path, is_claimed: bool
) -> None:
    """What describes the encrypted objects stays away: what is stored again gets a manifest of its own."""
    keys = make_keys(tmp_path)
    both = with_options(plugin, "both", encryption_recipients=keys.recipient, encryption_identity_file=keys.path)
    table = plugin.database.table(1)
    back_up_with_hooks(both, {table: b"rows"})
    if not is_claimed:  # as one that was uploaded by `backup_directory`
        with target.store() as store:
            store.delete([one for one in target.keys() if one.startswith(CLAIMS)])  # noqa: SIM118
    folder = f"{tmp_path}/{PREFIX}"
    both.run("restore_directory", folder).succeeded()
    names = sorted(os.listdir(folder))
    assert names == sorted(key.removeprefix(PREFIX) for key in gpbackups_own(target))
    assert Path(folder, os.path.basename(table)).read_bytes() == b"rows"
    plugin.run("delete_backup", T).succeeded()
    plugin.run("backup_directory", folder).succeeded()
    call_hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", table).succeeded().out == b"rows"
