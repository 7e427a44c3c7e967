"""What commands without an identity find out about encrypted backups, by the summary in the coordinator's manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.age.header import begins_like_header
from fsspec_gp_plugin.backups.backup_summary import find_summary_of
from fsspec_gp_plugin.backups.gpbackup_files import BadBackupConfigError
from fsspec_gp_plugin.backups.inspection import Inspector
from fsspec_gp_plugin.backups.required import read_required
from fsspec_gp_plugin.backups.restore_plans import mark_broken, read_needed, read_plans
from fsspec_gp_plugin.backups.retention import Policy, decide
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import ConfigError, NotFound
from tests.fakes import FakeStore
from tests.recorded import CHAIN, NAMES, recorded
from tests.sealed_backups import RECIPIENT, encrypt_backup, report
from tests.sealing import IDENTITY
from tests.unit.restore_host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.recorded import Recorded

STAMPS = tuple(recorded(name).timestamp for name in CHAIN)
INCREMENTAL = 3


def put_plain(store: FakeStore, name: str) -> Recorded:
    """A backup of a real gpbackup, without manifests."""
    one = recorded(name)
    store.objects |= one.objects
    bases = STAMPS[: CHAIN.index(name)] if name in CHAIN else ()
    store.objects[f"{one.prefix}gpbackup_{one.timestamp}_report"] = report(one.timestamp, bases)
    return one


def put_encrypted(store: FakeStore, name: str, folder: Path, *, summary: bool = True) -> Recorded:
    one = put_plain(store, name)
    encrypt_backup(store, one.timestamp, folder, summary=summary)
    store.calls.clear()
    return one


def requests(store: FakeStore) -> list[str]:
    """What was read since the last call, without the pieces of each."""
    made = [f"{method} {key.rpartition('/')[2]}" for method, key, _ in store.calls if method in ("fetch", "read")]
    store.calls.clear()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_an_encrypted_backup_must_have_the_same_objects_as_a_plain_one(name: str, tmp_path: Path) -> None:
    plain, sealed = FakeStore(), FakeStore()
    one = put_plain(plain, name)
    put_encrypted(sealed, name, tmp_path)
    toc = f"{one.prefix}gpbackup_{one.timestamp}_toc.yaml"
    assert begins_like_header(sealed.objects[toc])
    [backup] = survey(sealed)
    config, required = read_required(sealed, one.timestamp)
    summarized, same = read_required(sealed, one.timestamp, backup.summary)
    wanted, expected = read_required(plain, one.timestamp)
    assert list(required.names()) == list(same.names()) == list(expected.names())
    assert (required.files, required.not_checked) == (expected.files, expected.not_checked)
    assert config == summarized
    assert config is not None
    assert wanted is not None
    assert (config.plan, config.segments, config.status) == (wanted.plan, wanted.segments, wanted.status)
    assert not any(key == toc for _, key, _ in sealed.calls)


def test_a_look_costs_one_request_more_and_needs_no_identity(tmp_path: Path) -> None:
    store = FakeStore()
    one = put_encrypted(store, "default", tmp_path)
    put_plain(store, "incremental_3")
    encrypted, plain = survey(store)
    made = requests(store)
    assert [request.partition(" ")[0] for request in made] == ["fetch"] * 3
    assert sum("manifest" in request for request in made) == 1
    assert (encrypted.timestamp, encrypted.state, encrypted.kind) == (one.timestamp, "complete", "full")
    assert (encrypted.database, encrypted.segment_count, encrypted.recipients) == ("sales", 2, (RECIPIENT,))
    assert (encrypted.is_encrypted, encrypted.counted, encrypted.by_names) == (True, True, True)
    assert "command line" not in encrypted.report
    assert encrypted.report["start time"].endswith("2026 01:31:27")
    assert (plain.is_encrypted, plain.recipients) == (False, ())


def test_without_a_summary_the_state_is_unknown(tmp_path: Path) -> None:
    store = FakeStore()
    one = put_encrypted(store, "default", tmp_path, summary=False)
    [backup] = survey(store)
    why = "its report is encrypted, and no manifest has a summary of it"
    assert (backup.state, backup.why_unknown, backup.is_encrypted, backup.recipients) == ("unknown", why, True, ())
    found = Inspector(private.Place("s3://bucket", str(tmp_path)), store, ()).inspect(backup)
    assert found.problems == []
    assert f"{why}, so it is unknown whether gpbackup finished it" in found.reasons
    assert any("config.yaml is encrypted, and no manifest has a summary" in reason for reason in found.reasons)
    with pytest.raises(BadBackupConfigError, match="is encrypted, and no manifest has a summary"):
        read_needed(store, one.timestamp)
    assert read_plans(store, [backup]) == {one.timestamp: None}
    [decision] = decide([backup], {one.timestamp: None}, Policy(1, None), 2e9, "", {})
    assert (decision.delete, decision.why) == (False, why)


@pytest.mark.parametrize("plain", [(), CHAIN[:1], CHAIN[2:3], CHAIN[3:]])
def test_chains_of_encrypted_and_plain_backups_stay_whole(plain: tuple[str, ...], tmp_path: Path) -> None:
    store = FakeStore()
    for name in CHAIN:
        if name in plain:
            put_plain(store, name)
        else:
            put_encrypted(store, name, tmp_path)
    backups = survey(store)
    requests(store)
    plans = read_plans(store, backups)
    assert requests(store) == [], "the reports say it"
    assert plans == {STAMPS[n]: frozenset(STAMPS[:n]) for n in range(1, 4)}
    decisions = decide(backups, plans, Policy(1, None), 2e9, "", {})
    assert not any(decision.delete for decision in decisions)
    mark_broken(store, backups)
    assert not any(backup.broken for backup in backups)
    last = backups[INCREMENTAL]
    found = Inspector(private.Place("s3://bucket", str(tmp_path)), store, backups).inspect(last)
    assert found.problems == []
    gone = next(key for key in store.objects if key.startswith(recorded(CHAIN[0]).prefix) and key.endswith(".gz"))
    del store.objects[gone]
    found = Inspector(private.Place("s3://bucket", str(tmp_path)), store, backups).inspect(last)
    assert any(gone in problem for problem in found.problems)


def test_the_plan_counts_where_the_report_is_missing(tmp_path: Path) -> None:
    store = FakeStore()
    one = put_encrypted(store, CHAIN[-1], tmp_path)
    assert read_needed(store, one.timestamp) == frozenset(STAMPS[:INCREMENTAL])


@pytest.mark.parametrize("name", ["default", "single_data_file", "metadata_only", CHAIN[0]])
@pytest.mark.parametrize("shards", [1, 3])
def test_an_encrypted_backup_is_inspected_by_its_stored_bytes(name: str, shards: int, tmp_path: Path) -> None:
    store = FakeStore()
    one = put_encrypted(store, name, tmp_path)
    [backup] = survey(store)
    requests(store)
    inspector = Inspector(private.Place("s3://bucket", str(tmp_path)), store, ())
    results = [inspector.inspect(backup, (number, shards)) for number in range(shards)]
    assert [(found.result, found.problems, found.reasons) for found in results] == [("ok", [], [])] * shards
    assert sum(found.right for found in results) == len(one.objects)
    assert not [request for request in requests(store) if "gpbackup" in request], "gpbackup's files are not read"


@pytest.mark.parametrize("options", ["", "  checksum: off\n"])
def test_setup_for_a_restore_finds_what_is_missing_by_the_summary(options: str, tmp_path: Path) -> None:
    host, store = Host(tmp_path), FakeStore()
    one = put_encrypted(store, "default", tmp_path)
    identity = tmp_path / "identity"
    identity.write_text(f"{IDENTITY.text}\n")
    identity.chmod(0o600)
    host.options = f"  encryption_identity_file: {identity}\n{options}"
    host.set_up(store, "default")
    assert "WARNING" not in host.log()
    gone = next(name for name in one.data if name.endswith(".gz"))
    del store.objects[one.prefix + gone]
    with pytest.raises(NotFound, match=f"1 of [0-9]+ objects is missing: .*{gone}"):
        host.set_up(store, "default")


@pytest.mark.parametrize("has_identity", [True, False])
def test_setup_opens_gpbackups_files_where_there_is_no_summary(has_identity: bool, tmp_path: Path) -> None:
    """As in a backup whose manifests are lost: gprestore would hang where an object of its base is missing."""
    host, store = Host(tmp_path), FakeStore()
    for name in CHAIN[:2]:
        put_encrypted(store, name, tmp_path, summary=False)
    identity = tmp_path / "identity"
    identity.write_text(f"{IDENTITY.text}\n")
    identity.chmod(0o600)
    host.options = f"  encryption_identity_file: {identity if has_identity else tmp_path / 'none'}\n"
    if not has_identity:
        with pytest.raises(ConfigError, match="option 'encryption_identity_file'"):
            host.set_up(store, CHAIN[1])
        return
    host.set_up(store, CHAIN[1])
    base = recorded(CHAIN[0])
    gone = next(name for name in base.data if name.endswith(".gz"))
    del store.objects[base.prefix + gone]
    with pytest.raises(NotFound, match=f"1 of [0-9]+ objects is missing: .*{gone}"):
        host.set_up(store, CHAIN[1])


def test_plain_backups_have_no_summary_and_cost_no_request_for_it() -> None:
    store = FakeStore()
    one = put_plain(store, "default")
    survey(store)
    assert requests(store) == [f"fetch gpbackup_{one.timestamp}_report"]
    read_required(store, one.timestamp)
    assert requests(store) == [f"fetch gpbackup_{one.timestamp}_{end}" for end in ("config.yaml", "toc.yaml")]
    assert find_summary_of(store, one.timestamp) is None
