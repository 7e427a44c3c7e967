"""The commands for people need no identity for encrypted backups, except those that read their contents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.x25519 import new_identity
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.arranged import aged, ago, asked
from tests.cli.whole import contents, put_whole, record, table
from tests.protocol.caller import Plugin, write_config
from tests.protocol.made_backups import kept
from tests.sealed_backups import RECIPIENT, encrypt_backup, report

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Database

FULL, UPON = ago(40), ago(39)
LATER = ago(10)
COUNT = 8


def put_encrypted(store: Store, timestamp: str, folder: Path, *bases: str, summary: bool = True) -> None:
    put_whole(store, timestamp, bases)
    encrypt_backup(store, timestamp, folder, summary=summary)


def made_disk(tmp_path: Path) -> str:
    """The URL of a directory."""
    (tmp_path / "disk").mkdir(exist_ok=True)
    return f"file://{tmp_path}/disk"


def back_up(plugin: Plugin, timestamp: str, *bases: str) -> None:
    """A backup of two segments and the coordinator on one host, as gpbackup makes it."""
    database = plugin.database
    database.timestamp = timestamp
    plugin.setup("setup_plugin_for_backup")
    for segment in (0, 1):
        for oid in (16384, 16390):
            plugin.run("backup_data", database.table(oid, segment, ".gz"), stdin=os.urandom(1000)).succeeded()
    texts = {
        "metadata.sql": b"CREATE TABLE public.t16384",
        "toc.yaml": contents().encode(),
        "config.yaml": record(timestamp, bases).encode(),
        "report": report(timestamp, bases),
    }
    os.makedirs(database.directory(-1), exist_ok=True)
    for end, text in texts.items():
        path = database.file(f"gpbackup_{timestamp}_{end}", -1)
        with open(path, "wb") as file:
            file.write(text)
        plugin.run("backup_file", path).succeeded()
    plugin.setup("cleanup_plugin_for_backup")


def test_a_host_without_any_identity_makes_and_keeps_encrypted_backups(database: Database, tmp_path: Path) -> None:
    recipient = new_identity().recipient.text
    config = write_config(
        tmp_path / "encrypted.yaml",
        made_disk(tmp_path),
        {},
        replica_url=f"file://{tmp_path}/replica",
        encryption_recipients=recipient,
    )
    (tmp_path / "replica").mkdir()
    plugin = Plugin(database, config)
    back_up(plugin, FULL)
    back_up(plugin, UPON, FULL)
    assert "WARNING" not in database.log()
    assert kept(database) == []
    told = asked(plugin, "list")["backups"]
    shown = [
        [one[name] for name in ("timestamp", "database", "kind", "state", "objects", "encrypted", "recipients")]
        for one in told
    ]
    assert shown == [
        [FULL, "sales", "full", "complete", COUNT, True, [recipient]],
        [UPON, "sales", "incremental", "complete", COUNT, True, [recipient]],
    ]
    told_of = asked(plugin, "info", UPON)
    assert (told_of["result"], told_of["problems"], told_of["reasons"], told_of["needs"]) == ("ok", [], [], [FULL])
    assert "command line" not in told_of["report"]
    lines = plugin.run("info", FULL).succeeded().out.decode().splitlines()
    assert f"encrypted: {recipient}" in lines
    verified = asked(plugin, "verify")["backups"]
    assert [(one["result"], one["verified"]) for one in verified] == [("ok", COUNT)] * 2
    pruned = asked(plugin, "prune", "--keep-full", "1", "--older-than", "1d")
    assert {(one["action"], one["database"]) for one in pruned["backups"]} == {("keep", "sales")}
    assert pruned["unfinished"] == []
    metrics = asked(plugin, "metrics")
    assert metrics["backups"] == dict.fromkeys(metrics["backups"], 0) | {"complete": 2}
    assert [(one["kind"], one["objects"], one["has_manifests"]) for one in metrics["last"]] == [
        ("full", COUNT, True),
        ("incremental", COUNT, True),
    ]
    for timestamp in (FULL, UPON):
        plugin.run("replicate_backup", timestamp).succeeded()
    plugin.run("replicate_backup", UPON, "0/2").succeeded()
    copies = asked(plugin, "verify", "--replica")["backups"]
    assert [(one["result"], one["verified"]) for one in copies] == [("ok", COUNT)] * 2
    assert {one["replica"] for one in asked(plugin, "list")["backups"]} == {"complete"}
    plugin.run("delete_backup", FULL).succeeded()
    [left] = asked(plugin, "list")["backups"]
    assert (left["timestamp"], left["state"]) == (UPON, "broken")


def test_a_mixed_chain_goes_as_a_whole(local: Plugin, store: Store, tmp_path: Path) -> None:
    put_whole(store, FULL)
    put_encrypted(store, UPON, tmp_path, FULL)
    put_encrypted(store, LATER, tmp_path)
    aged(tmp_path / "disk")
    told = asked(local, "prune", "--keep-full", "1", "--yes")["backups"]
    assert [(one["timestamp"], one["action"]) for one in told] == [
        (FULL, "deleted"),
        (UPON, "deleted"),
        (LATER, "keep"),
    ]
    [left] = asked(local, "list")["backups"]
    assert (left["timestamp"], left["encrypted"], left["recipients"]) == (LATER, True, [RECIPIENT])


def test_what_is_wrong_with_an_encrypted_backup(local: Plugin, store: Store, tmp_path: Path) -> None:
    put_encrypted(store, FULL, tmp_path)
    for words in ((), ("--quick",), ("--shard", "0/1")):
        [one] = asked(local, "verify", FULL, *words)["backups"]
        assert (one["result"], one["problems"], one["reasons"]) == ("ok", [], [])
    key = backup_prefix(FULL) + table(FULL)
    data = bytearray(store.stat(key).size)
    store.put(key, memoryview(data))
    [one] = asked(local, "verify", FULL, status=1)["backups"]
    assert (one["result"], one["verified"]) == ("failed", COUNT - 1)
    assert key in one["problems"][0]
    store.delete([key])
    [one] = asked(local, "verify", FULL, "--quick", status=1)["backups"]
    assert one["missing"] == 1


def test_a_failed_backup_is_cleaned_up(local: Plugin, store: Store, tmp_path: Path) -> None:
    put_whole(store, FULL, without=[f"gpbackup_{FULL}_toc.yaml"])
    store.put(f"{backup_prefix(FULL)}gpbackup_{FULL}_report", memoryview(report(FULL, status="Failure")))
    encrypt_backup(store, FULL, tmp_path)
    aged(tmp_path / "disk")
    [left] = asked(local, "cleanup")["leftovers"]
    assert (left["timestamp"], left["state"], left["database"]) == (FULL, "failed", "sales")


def test_without_a_summary_a_backup_is_kept_and_the_reason_is_told(local: Plugin, store: Store, tmp_path: Path) -> None:
    put_encrypted(store, FULL, tmp_path, summary=False)
    put_encrypted(store, LATER, tmp_path)
    aged(tmp_path / "disk")
    why = "its report is encrypted, and no manifest has a summary of it"
    told = asked(local, "prune", "--keep-full", "1")["backups"]
    assert [(one["action"], one["state"]) for one in told] == [("keep", "unknown"), ("keep", "complete")]
    assert told[0]["why"] == why
    assert any(reason.startswith(why) for reason in asked(local, "info", FULL)["reasons"])
    assert asked(local, "metrics")["backups"]["unknown"] == 1
    [one] = asked(local, "verify", FULL, status=4)["backups"]
    assert (one["result"], one["verified"]) == ("unchecked", COUNT)


@pytest.mark.parametrize("recipients", [(RECIPIENT,), ()])
def test_a_directory_is_uploaded_with_a_summary(
    recipients: tuple[str, ...], database: Database, tmp_path: Path
) -> None:
    """As a backup that was made without the plugin."""
    options = {"encryption_recipients": " ".join(recipients)} if recipients else {}
    plugin = Plugin(database, write_config(tmp_path / "c.yaml", made_disk(tmp_path), {}, **options))
    database.timestamp = FULL
    os.makedirs(database.directory(-1))
    files = {"toc.yaml": contents(), "config.yaml": record(FULL, ()), "report": report(FULL).decode()}
    for end, text in files.items():
        with open(database.file(f"gpbackup_{FULL}_{end}", -1), "w", encoding="utf-8") as file:
            file.write(text)
    plugin.run("backup_directory", database.directory(-1)).succeeded()
    [told] = asked(plugin, "list")["backups"]
    assert (told["state"], told["database"], told["recipients"]) == ("complete", "sales", list(recipients))


def test_a_file_that_is_not_gpbackups_fails_no_backup(database: Database, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml", made_disk(tmp_path), {}, encryption_recipients=RECIPIENT)
    plugin = Plugin(database, config)
    os.makedirs(database.directory(-1))
    for end, text in (("report", "something else"), ("toc.yaml", contents())):
        path = database.file(f"gpbackup_{database.timestamp}_{end}", -1)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        plugin.run("backup_file", path).succeeded()
    assert "the manifest has no summary of it" in database.log()
    plugin.setup("cleanup_plugin_for_backup")
    [told] = asked(plugin, "list")["backups"]
    assert (told["state"], told["encrypted"]) == ("unknown", True)
