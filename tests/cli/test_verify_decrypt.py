"""`verify --decrypt`: what only the content of an encrypted object shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.integrity.claim import NAME as CLAIM_NAME
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.arranged import asked
from tests.cli.test_decrypt import write_identity
from tests.cli.whole import CLAIM, manifest_name, manifest_of, put_whole, table
from tests.protocol.caller import write_config
from tests.sealed_backups import encrypt_backup
from tests.sealing import IDENTITY, OTHER_IDENTITY, encrypt

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

T, LATER, PLAIN = "20260102030405", "20260103030405", "20260104030405"
PREFIX = backup_prefix(T)
KEY = PREFIX + table(T)
COUNT = 8


@pytest.fixture
def opener(local: Plugin, tmp_path: Path) -> Plugin:
    """A plugin whose configuration names an identity."""
    file = write_identity(local.database.folder)
    write_config(local.config, f"file://{tmp_path}/disk", encryption_identity_file=file)
    return local


def verified(plugin: Plugin, *words: str, status: int) -> dict[str, Any]:
    """What `verify` tells of one backup."""
    one: dict[str, Any]
    [one] = asked(plugin, "verify", *words, status=status)["backups"]
    return one


def replace(store: Store, hosts: dict[str, dict[str, bytes]], data: bytes) -> None:
    """Put other bytes in the place of an object, and their checksum into the manifest, as somebody can do who writes
    the bucket.
    """
    hosts["sdw1"][table(T)] = data
    for key, content in ((KEY, data), (PREFIX + manifest_name("sdw1"), manifest_of(T, "sdw1", hosts["sdw1"]))):
        store.put(key, memoryview(content))


def test_every_object_is_read_and_decrypted(plugin: Plugin, target: Target) -> None:
    file = write_identity(plugin.database.folder)
    write_config(plugin.config, target.url, target.options, encryption_identity_file=file)
    with target.store() as store:
        hosts = put_whole(store, T, identity=IDENTITY)
        for words, decrypted in (([], False), (["--decrypt"], True)):
            one = verified(plugin, T, *words, status=4)  # as no summary of its report is there
            assert (one["verified"], one["problems"], one["decrypted"]) == (COUNT, [], decrypted)
            [result] = [info.key for info in store.find(PREFIX) if "/verified." in info.key]
            assert json.loads(store_read(store, result))["decrypted"] is decrypted
        damaged = bytearray(hosts["sdw1"][table(T)])
        damaged[-1] ^= 1
        replace(store, hosts, bytes(damaged))
        assert verified(plugin, T, status=4)["problems"] == []
        one = verified(plugin, T, "--decrypt", status=1)
        assert one["verified"] == COUNT - 1
        assert [KEY in problem for problem in one["problems"]] == [True]


def store_read(store: Store, key: str) -> bytes:
    into = bytearray(1 << 16)
    with memoryview(into) as view:
        return bytes(into[: sum(store.fetch(key, view)[1])])


def test_a_whole_backup_is_well_with_and_without_an_identity(opener: Plugin, store: Store, tmp_path: Path) -> None:
    put_whole(store, T)
    encrypt_backup(store, T, tmp_path)
    for words in ([], ["--quick"], ["--decrypt"]):
        one = verified(opener, T, *words, status=0)
        assert (one["result"], one["verified"], one["problems"], one["reasons"]) == ("ok", COUNT, [], [])
    [listed] = asked(opener, "list")["backups"]
    assert listed["verified"]["result"] == "ok"


@pytest.mark.parametrize(
    ("data", "told", "any_name_helps"),
    [
        (encrypt(PREFIX + table(T, 1), b"rows", CLAIM), "another object was put in its place", True),
        (encrypt(KEY, b"rows", "f" * 32), "belongs to another backup of the same timestamp", True),
        (encrypt(KEY, b"rows", CLAIM, OTHER_IDENTITY), "none of the identities in", False),
        (b"plain rows", "not encrypted", True),
    ],
)
def test_what_is_no_object_of_the_backup_is_a_problem(
    opener: Plugin, store: Store, data: bytes, told: str, any_name_helps: bool
) -> None:
    replace(store, put_whole(store, T, identity=IDENTITY), data)
    [problem] = verified(opener, T, "--decrypt", status=1)["problems"]
    assert KEY in problem
    assert told in problem
    one = verified(opener, T, "--decrypt", "--any-name", status=4 if any_name_helps else 1)
    assert (one["problems"] == []) is any_name_helps


def test_without_an_identity_nothing_is_read(local: Plugin, store: Store, tmp_path: Path) -> None:
    put_whole(store, T, identity=IDENTITY)
    made_for = f"it was made for {IDENTITY.recipient.text}"
    local.run("verify", "--decrypt").failed(f"{T} is encrypted, and there is no identity", made_for, status=2)
    other = write_identity(local.database.folder, OTHER_IDENTITY)
    write_config(local.config, f"file://{tmp_path}/disk", encryption_identity_file=other)
    local.run("verify", "--decrypt").failed(f"none of the identities in {other} opens it; {made_for}", status=2)
    other.chmod(0o644)
    local.run("verify", "--decrypt").failed("is open to other users", status=2)
    other.unlink()
    local.run("verify", "--decrypt").failed("can't be read: No such file", status=2)
    assert [info.key for info in store.find(PREFIX) if "verified" in info.key] == []
    assert verified(local, status=4)["verified"] == COUNT  # stored bytes need no identity


def test_backups_of_other_identities_are_left_out_and_said(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=OTHER_IDENTITY)
    put_whole(store, LATER, identity=IDENTITY)
    put_whole(store, PLAIN)
    first, second, third = asked(opener, "verify", "--decrypt", status=4)["backups"]
    assert (first["result"], first["verified"], first["decrypted"]) == ("unchecked", 0, False)
    assert any(OTHER_IDENTITY.recipient.text in reason for reason in first["reasons"])
    assert (second["verified"], second["problems"], second["decrypted"]) == (COUNT, [], True)
    assert (third["result"], third["verified"], third["decrypted"]) == ("ok", COUNT, False)


def test_parts_are_put_together(opener: Plugin, store: Store) -> None:
    replace(store, put_whole(store, T, identity=IDENTITY), b"plain rows")
    found = [opener.run("verify", T, "--decrypt", "--shard", f"{number}/2").out.decode() for number in range(2)]
    assert [KEY in out for out in found].count(True) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--decrypt", "--quick"], "choose one of them"), (["--any-name"], "--any-name is for --decrypt")],
)
def test_a_wrong_call_is_one_line(local: Plugin, words: list[str], told: str) -> None:
    local.run("verify", *words).failed(told, status=2)


def test_only_what_must_be_encrypted_counts_as_decrypted(opener: Plugin, store: Store) -> None:
    """Without a claim plain objects are accepted, so nothing proves that any was decrypted."""
    put_whole(store, T)
    store.delete([PREFIX + CLAIM_NAME])
    one = verified(opener, T, "--decrypt", status=0)
    assert (one["verified"], one["problems"], one["decrypted"]) == (COUNT, [], False)
