"""What the setup hooks refuse before any data: keys that don't fit, and hosts that would encrypt otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.x25519 import new_identity
from tests.protocol.caller import Result
from tests.protocol.encrypted import NONE_OPENS, back_up_with_hooks, make_file, make_keys, with_options
from tests.protocol.made_backups import PREFIX, T

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

SETUP = ("master", "segment_host", "segment")


def set_up(plugin: Plugin, kind: str, scope: str, segment: int = 0) -> Result:
    """One setup hook, as gpbackup or gprestore calls it."""
    directory = plugin.database.directory(-1 if scope == "master" else segment)
    content = {"master": ['\\"-1\\"'], "segment": [f'\\"{segment}\\"']}.get(scope, [])
    return plugin.run(f"setup_plugin_for_{kind}", directory, scope, *content)


def test_a_restore_is_refused_without_an_identity_that_opens_it(plugin: Plugin, tmp_path: Path) -> None:
    keys, metadata, other = make_keys(tmp_path), make_keys(tmp_path, "metadata"), make_keys(tmp_path, "other")
    writing = with_options(
        plugin, "writing", encryption_recipients=keys.recipient, encryption_metadata_recipients=metadata.recipient
    )
    back_up_with_hooks(writing, {plugin.database.table(1): b"rows"})

    for scope in ("master", "segment_host"):
        set_up(plugin, "restore", scope).failed("set `encryption_identity_file`", f"made for {keys.recipient}")
    reading = with_options(plugin, "reading", encryption_identity_file=other.path)
    set_up(reading, "restore", "master").failed(
        NONE_OPENS.format(other.path, f"{keys.recipient}, {metadata.recipient}")
    )
    set_up(reading, "restore", "segment_host").failed(NONE_OPENS.format(other.path, keys.recipient))
    # The identity of the metadata is enough on the coordinator; on a host with segments it is not.
    reading = with_options(plugin, "reading", encryption_identity_file=metadata.path)
    set_up(reading, "restore", "master").succeeded()
    set_up(reading, "restore", "segment_host").succeeded()  # no other hook looks for the coordinator's host alone
    set_up(reading, "restore", "segment").failed(NONE_OPENS.format(metadata.path, keys.recipient))
    incomplete = with_options(reading, "incomplete", restore_incomplete="on")
    set_up(incomplete, "restore", "segment").succeeded()
    assert "WARNING]:-restored all the same" in plugin.database.log()

    reading = with_options(plugin, "reading", encryption_identity_file=keys.path)
    for scope in SETUP:
        set_up(reading, "restore", scope).succeeded()
    keys.path.chmod(0o640)
    table = plugin.database.table(1)
    for refused in (set_up(reading, "restore", "master"), reading.run("restore_data", table)):
        refused.failed("option 'encryption_identity_file'", "chmod 600")
    keys.path.unlink()
    reading.run("restore_data", table).failed("option 'encryption_identity_file'", "can't be read")
    assert keys.identity.text not in plugin.database.log()


def test_a_restore_without_a_claim_is_refused_too(local: Plugin, tmp_path: Path) -> None:
    """As of a backup that was uploaded by `backup_directory`: gprestore would hang at its first table."""
    keys, other = make_keys(tmp_path), make_keys(tmp_path, "other")
    back_up_with_hooks(
        with_options(local, "writing", encryption_recipients=keys.recipient), {local.database.table(1): b"rows"}
    )
    for claim in (tmp_path / "disk" / PREFIX).glob("fsspec_gp_plugin/claim*"):
        claim.unlink()
    for path, words in (
        (None, "there is no identity"),
        (tmp_path / "none", "can't be read"),
        (other.path, "none of the identities"),
    ):
        reading = with_options(local, "reading", encryption_identity_file=path)
        for scope in ("master", "segment_host"):
            set_up(reading, "restore", scope).failed("_toc.yaml is encrypted", words, status=2)
    incomplete = with_options(reading, "incomplete", restore_incomplete="on")
    set_up(incomplete, "restore", "master").failed("none of the identities")
    set_up(incomplete, "restore", "segment_host").succeeded()
    reading = with_options(local, "reading", encryption_identity_file=keys.path)
    for scope in SETUP:
        set_up(reading, "restore", scope).succeeded()
    assert "is encrypted, but no claim that can be read says so" in local.database.log()


def test_a_backup_is_refused_with_recipients_that_are_of_no_use(local: Plugin, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    recipients = tmp_path / "recipients"
    recipients.write_text(f"# ours\n{keys.recipient}\n{keys.identity.text}\n")
    for options, words in (
        ({"encryption_recipients": keys.recipient[:-1]}, ("option 'encryption_recipients'", "checksum is wrong")),
        ({"encryption_recipients": keys.identity.text}, ("option 'encryption_recipients'", "an identity")),
        ({"encryption_recipients": tmp_path / "none"}, ("option 'encryption_recipients'", "can't be read")),
        ({"encryption_recipients": recipients}, ("option 'encryption_recipients'", "an identity")),
        ({"encryption_identity_file": keys.identity.text}, ("option 'encryption_identity_file'", "an identity")),
        (
            {"encryption_recipients": keys.recipient, "encryption_metadata_recipients": tmp_path / "none"},
            ("option 'encryption_metadata_recipients'", "can't be read"),
        ),
        ({"encryption_metadata_recipients": keys.recipient}, ("without 'encryption_recipients'",)),
        ({"encryption_recipients": keys.recipient, "checksum": "off"}, ("option 'checksum'", "crc32c")),
    ):
        wrong = with_options(local, "wrong", **options)
        for scope in ("master", "segment"):
            refused = set_up(wrong, "backup", scope).failed(*words)
            assert keys.identity.text[15:] not in refused.err.upper()
    # A run whose setup was refused stores nothing, as gpbackup goes on to its report.
    wrong.run("backup_data", local.database.table(1), stdin=b"rows").failed()
    assert list((tmp_path / "disk").iterdir()) == []
    assert keys.identity.text[15:] not in local.database.log().upper()


def test_a_segment_host_that_would_encrypt_otherwise_is_refused(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    keys, other = make_keys(tmp_path), make_keys(tmp_path, "other")
    plain, ours, theirs = (
        with_options(plugin, name, state_directory=tmp_path / name, **options)
        for name, options in (
            ("plain", {}),
            ("ours", {"encryption_recipients": keys.recipient}),
            ("theirs", {"encryption_recipients": f"{keys.recipient} {other.recipient}"}),
        )
    )
    set_up(ours, "backup", "master").succeeded()
    before = target.keys()
    set_up(theirs, "backup", "segment_host").failed(
        f"this host would encrypt to {keys.recipient}, {other.recipient}", f"says: encrypt to {keys.recipient}"
    )
    set_up(plain, "backup", "segment_host").failed("this host would not encrypt", "claim")
    theirs.run("backup_data", plugin.database.table(1), stdin=b"rows").failed("the setup of backup")
    assert target.keys() == before
    set_up(ours, "backup", "segment_host").succeeded()


def test_a_host_that_encrypts_does_not_join_a_plain_backup(local: Plugin, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    ours = with_options(local, "ours", state_directory=tmp_path / "ours", encryption_recipients=keys.recipient)
    set_up(local, "backup", "master").succeeded()
    set_up(ours, "backup", "segment_host").failed(f"would encrypt to {keys.recipient}", "says: not encrypt")
    # Without a hook the first object looks for the claim.
    (tmp_path / "ours/runs").rename(tmp_path / "refusals")
    ours.run("backup_data", local.database.table(1), stdin=b"rows").failed("says: not encrypt")


@pytest.mark.parametrize("base", ["encrypted", "plain", "unclaimed", "unknown"])
def test_an_incremental_backup_needs_an_identity_for_its_base(local: Plugin, tmp_path: Path, base: str) -> None:
    keys, metadata = make_keys(tmp_path), make_keys(tmp_path, "metadata")
    recipients = {"encryption_recipients": keys.recipient, "encryption_metadata_recipients": metadata.recipient}
    writing = with_options(local, "writing", **recipients)
    if base == "unclaimed":
        folder = tmp_path / f"disk/backups/{T[:8]}/{T}"
        folder.mkdir(parents=True)
        (folder / f"gpbackup_{T}_toc.yaml").write_text("a table of contents")
    else:
        back_up_with_hooks(local if base == "plain" else writing, {})
    local.database.timestamp = "20260103030405"
    program = tmp_path / "gpbackup"
    shutil.copy("/bin/bash", program)

    def run(plugin: Plugin) -> Result:
        directory = plugin.database.directory(-1)
        script = f"{plugin.executable} setup_plugin_for_backup {plugin.config} {directory} master -1; exit $?"
        from_timestamp = [] if base == "unknown" else ["--from-timestamp", T]
        option = "--incremental=True" if base == "unknown" else "--incremental"
        done = subprocess.run(
            [str(program), "-c", script, "gpbackup", "--dbname", "d", option, *from_timestamp],
            env=plugin.database.environment(),
            capture_output=True,
            check=False,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    if base in ("plain", "unclaimed"):
        run(writing).succeeded()
        return
    run(writing).failed("an incremental backup reads", "encryption_identity_file", "encryption_metadata_recipients")
    missing = with_options(local, "missing", **recipients, encryption_identity_file=tmp_path / "none")
    run(missing).failed("option 'encryption_identity_file'", "can't be read")
    if base == "encrypted":
        wrong = tmp_path / "wrong"
        wrong.write_text(new_identity().text)
        wrong.chmod(0o600)
        wrong_keys = with_options(local, "wrong", **recipients, encryption_identity_file=wrong)
        run(wrong_keys).failed(NONE_OPENS.format(wrong, f"{keys.recipient}, {metadata.recipient}"))
    assert not os.path.exists(tmp_path / "disk/backups/20260103")
    right = with_options(local, "right", **recipients, encryption_identity_file=metadata.path)
    run(right).succeeded()
    # Then gpbackup reads the base's files.
    path = make_file(local, f"gpbackup_{T}_toc.yaml", "").replace("20260103/20260103030405", f"{T[:8]}/{T}")
    os.remove(path)
    right.run("restore_file", path).succeeded()
    with open(path, encoding="utf-8") as file:
        assert file.read() == "toc.yaml of it"


def test_recipients_that_change_while_a_backup_runs_are_refused(local: Plugin, tmp_path: Path) -> None:
    """As when somebody replaces the file in the midst: the backup would need two identities."""
    recipients = tmp_path / "recipients"
    recipients.write_text(make_keys(tmp_path).recipient)
    writing = with_options(local, "writing", encryption_recipients=recipients)
    writing.setup("setup_plugin_for_backup")
    table = local.database.table(1)
    writing.run("backup_data", table, stdin=b"rows").succeeded()
    recipients.write_text(make_keys(tmp_path, "new").recipient)
    writing.run("backup_data", table, stdin=b"rows").failed("has changed since the setup hook")
    set_up(writing, "backup", "segment_host").failed("the coordinator's claim")
