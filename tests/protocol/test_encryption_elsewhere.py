"""Encrypted backups of several hosts, and at a replica."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.encrypted import NONE_OPENS, Keys, back_up_with_hooks, make_keys, name_in, with_options
from tests.protocol.hosts import Host, make_host
from tests.protocol.made_backups import PREFIX, T, call_hook, kept
from tests.recorded import CHAIN, recorded

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root makes mount namespaces")
@pytest.mark.parametrize("agent", ["off", "on"], ids=["alone", "agent"])
def test_each_host_encrypts_and_another_one_opens_what_it_stored(tmp_path: Path, agent: str) -> None:
    keys, other = make_keys(tmp_path), make_keys(tmp_path, "other")
    disk = tmp_path / "disk"
    with ExitStack() as stack:

        def make(name: str, owned: Keys) -> Host:
            host = make_host(
                tmp_path,
                name,
                f"file://{disk}",
                agent=agent,
                agent_idle="60s",
                encryption_recipients=owned.recipient,
                encryption_identity_file=str(owned.path),
            )
            return stack.enter_context(closing(host))

        hosts = a, b = make("hosta", keys), make("hostb", keys)
        wrong = make("wrong", other)
        a.hook("setup_plugin_for_backup", "master").succeeded()
        for host in hosts:
            host.hook("setup_plugin_for_backup", "segment_host").succeeded()
        wrong.hook("setup_plugin_for_backup", "segment_host").failed(f"would encrypt to {other.recipient}")
        tables = {
            host.database.table(16384, content): f"rows of {content}".encode() for content, host in enumerate(hosts)
        }
        for host, (path, data) in zip(hosts, tables.items(), strict=True):
            host.run("backup_data", path, stdin=data).succeeded()
        for name in ("toc.yaml", "report"):
            a.back_up_file(f"gpbackup_{T}_{name}").succeeded()
        a.hook("cleanup_plugin_for_backup", "master").succeeded()
        b.hook("cleanup_plugin_for_backup", "segment_host").succeeded()
        tokens = {name_in(path.read_bytes())[1] for path in (disk / PREFIX).glob("gpbackup_*")}
        assert len(tokens) == 1
        assert "-" not in tokens

        a.hook("setup_plugin_for_restore", "master").succeeded()
        for host in hosts:
            host.hook("setup_plugin_for_restore", "segment_host").succeeded()
        wrong.hook("setup_plugin_for_restore", "segment_host").failed(NONE_OPENS.format(other.path, keys.recipient))
        for host, (path, data) in zip(reversed(hosts), tables.items(), strict=True):
            assert host.run("restore_data", path).succeeded().out == data


def test_a_replica_holds_the_same_bytes_and_a_restore_opens_them(local: Plugin, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    first, second = tmp_path / "disk", tmp_path / "second"
    second.mkdir()
    writing = with_options(
        local, "writing", encryption_recipients=keys.recipient, replica_url=f"file://{second}", checksum="crc32c"
    )
    table, data = local.database.table(1), os.urandom(200_000)
    back_up_with_hooks(writing, {table: data})
    writing.run("replicate_backup", T).succeeded()
    stored = {path.name: path.read_bytes() for path in (first / PREFIX).glob("gpbackup_*")}
    assert {path.name: path.read_bytes() for path in (second / PREFIX).glob("gpbackup_*")} == stored

    reading = with_options(writing, "reading", encryption_identity_file=keys.path)
    first.rename(tmp_path / "away")
    reading.setup("setup_plugin_for_restore")
    assert reading.run("restore_data", table).succeeded().out == data
    reading.setup("cleanup_plugin_for_restore")
    # Also without a hook, and from a primary that has lost the claim and the table.
    (tmp_path / "away").rename(first)
    for path in (Path(f"{first}/{local.database.key(table)}"), *(first / PREFIX).glob("fsspec_gp_plugin/claim*")):
        path.unlink()
    assert reading.run("restore_data", table).succeeded().out == data
    (second / local.database.key(table)).write_bytes(b"x" * (len(stored[Path(table).name])))
    with_options(reading, "unchecked", checksum="off").run("restore_data", table).failed("is not encrypted")


def test_a_chain_of_plain_and_encrypted_backups_is_restored(local: Plugin, tmp_path: Path) -> None:
    """Each backup has a claim of its own, which says whether it is encrypted, and to whom."""
    before, after = make_keys(tmp_path, "before"), make_keys(tmp_path, "after")
    chain = [recorded(name) for name in CHAIN[:3]]
    recipients = (None, before.recipient, after.recipient)
    for one, recipient in zip(chain, recipients, strict=True):
        local.database.timestamp = one.timestamp
        writing = with_options(local, "writing", encryption_recipients=recipient)
        call_hook(writing, "setup_plugin_for_backup")
        for key, data in one.objects.items():
            path = Path(f"{local.database.folder}/gpseg-1/{key}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data + key.encode() if key.endswith(".gz") else data)
        files = [name for name in one.names if name not in one.data]
        for name in files:
            writing.run("backup_file", writing.database.file(name, -1)).succeeded()
        line = writing.command("backup_data", writing.database.file("$n", -1))
        names = " ".join(one.data)
        writing.shell(f"for n in {names}; do {line} < {writing.database.file('$n', -1)} || exit; done").succeeded()
        call_hook(writing, "cleanup_plugin_for_backup")

    reading = with_options(local, "reading", encryption_identity_file=after.path)
    call = (local.database.directory(-1), "master")
    reading.run("setup_plugin_for_restore", *call).failed(
        f"{chain[1].timestamp}: " + NONE_OPENS.format(after.path, before.recipient)
    )
    call_hook(reading, "cleanup_plugin_for_restore")
    with open(after.path, "a", encoding="utf-8") as file:
        file.write(f"{before.identity.text}\n")
    reading.run("setup_plugin_for_restore", *call).succeeded()
    for one in chain:
        local.database.timestamp = one.timestamp
        for name in (one.data[0], one.data[-1]):
            restored = reading.run("restore_data", local.database.file(name)).succeeded()
            assert restored.out == b"data" + (one.prefix + name).encode()
    local.database.timestamp = chain[-1].timestamp
    call_hook(reading, "cleanup_plugin_for_restore")
    assert kept(local.database) == []

    # A claim that says that the base is plain: its stored bytes would be restored as rows.
    claim = tmp_path / "disk" / chain[1].prefix / "fsspec_gp_plugin/claim.json"
    value = json.loads(claim.read_text())
    del value["encryption"]
    claim.write_text(json.dumps(value))
    refused = reading.run("setup_plugin_for_restore", *call)
    refused.failed(f"the backup {chain[1].timestamp} is encrypted, and its claim says that it is not")
