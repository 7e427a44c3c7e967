"""Who opens which objects, what a configuration may say of it, and what a host keeps of a claim."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.header import parse_header
from fsspec_gp_plugin.age.object_name import KIND, ObjectName
from fsspec_gp_plugin.age.sealing import new_seal
from fsspec_gp_plugin.age.x25519 import Recipient, new_identity
from fsspec_gp_plugin.backups.backup_keys import (
    Recipients,
    load_backup_recipients,
    make_opening,
    require_same_encryption,
    require_usable,
)
from fsspec_gp_plugin.config.loading import Config, load_config
from fsspec_gp_plugin.config.stored_copy import stored_copy
from fsspec_gp_plugin.errors import ConfigError
from fsspec_gp_plugin.integrity.catalog_files import FETCHED, remove_catalogs, remove_outdated
from fsspec_gp_plugin.integrity.claim import Encryption, new_claim
from fsspec_gp_plugin.integrity.claim_record import ClaimRecord, read_record, write_record
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.integrity.run_state import Run, remember_run
from fsspec_gp_plugin.private import Place
from fsspec_gp_plugin.protocol.encrypting import Encrypting
from fsspec_gp_plugin.redaction import MASK, scrub
from tests.sealing import IDENTITY, OTHER_IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

T = "20260101120000"
PREFIX = f"backups/20260101/{T}/"
OURS, THEIRS = IDENTITY.recipient, OTHER_IDENTITY.recipient
CLUSTER = Cluster("", "7001", "cdw", "5432", "/data/gpseg-1")


def load(folder: Path, *options: str) -> Config:
    path = folder / "config.yaml"
    path.write_text("executablepath: /x\noptions:\n  url: file:///tmp\n" + "".join(f"  {one}\n" for one in options))
    return load_config(str(path))


@pytest.mark.parametrize(
    ("key", "is_file"),
    [
        (f"{PREFIX}gpbackup_{T}_toc.yaml", True),
        (f"{PREFIX}gpbackup_{T}_report", True),
        (f"{PREFIX}gpbackup_0_{T}_toc.yaml", False),
        (f"{PREFIX}gpbackup_-1_{T}_16384.gz", False),
        (f"{PREFIX}gpbackup_0_{T}", False),
        (f"{PREFIX}gpbackup_{T}_statistics.sql", False),
        (f"{PREFIX}gpbackup_20260101120001_report", False),
        (f"{PREFIX}folder/gpbackup_{T}_report", False),
        (f"etc/gpbackup_{T}_report", False),
        (f"backups/20260102/{T}/gpbackup_{T}_report", False),
    ],
)
def test_only_the_coordinators_files_go_to_recipients_of_the_metadata(key: str, is_file: bool) -> None:
    assert Recipients((OURS,), (THEIRS,)).of(key) == ((OURS, THEIRS) if is_file else (OURS,))


def test_recipients_are_named_once_by_text_or_by_file(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    file.write_text(f"# ours\n\n{OURS.text}\n{THEIRS.text}\n")
    loaded = load_backup_recipients(load(tmp_path, f"encryption_recipients: {file}"))
    assert loaded == Recipients((OURS, THEIRS))
    both = load(
        tmp_path,
        f"encryption_recipients: {OURS.text} {OURS.text}",
        f"encryption_metadata_recipients: {OURS.text} {THEIRS.text}",
    )
    assert load_backup_recipients(both) == Recipients((OURS,), (THEIRS,))
    assert load_backup_recipients(load(tmp_path)) is None


def test_all_of_them_together_fit_into_a_header_that_is_read(tmp_path: Path) -> None:
    many = [new_identity().recipient.text for _ in range(101)]
    most = load(
        tmp_path,
        f"encryption_recipients: {' '.join(many[:60])}",
        f"encryption_metadata_recipients: {' '.join(many[:100])}",
    )
    loaded = load_backup_recipients(most)
    assert loaded is not None
    assert parse_header(new_seal(sum(loaded, ()), ObjectName(PREFIX)).start) is not None
    with pytest.raises(ConfigError, match="at most 100 recipients together"):
        load_backup_recipients(most._replace(encryption_metadata_recipients=" ".join(many[1:])))


def test_a_configuration_of_the_s3_plugin_may_name_them(tmp_path: Path) -> None:
    """There `encryption` is TLS."""
    path = tmp_path / "s3.yaml"
    lines = ("bucket: b", "endpoint: localhost:9000", 'encryption: "off"', f"encryption_recipients: {OURS.text}")
    path.write_text("executablepath: /x\noptions:\n" + "".join(f"  {one}\n" for one in lines))
    config = load_config(str(path))
    assert config.storage_options["endpoint_url"] == "http://localhost:9000"
    assert load_backup_recipients(config) == Recipients((OURS,))


def test_a_host_that_can_not_read_the_claim_names_none(tmp_path: Path) -> None:
    config = load(tmp_path, f"encryption_recipients: {OURS.text}", f"state_directory: {tmp_path}/state")
    key = f"{PREFIX}gpbackup_0_{T}_1"
    remember_run(config.place, T, Run("", "0" * 12, directories=("/data",), encryption=Encryption((OURS.text,))))
    seal = Encrypting(lambda: config, pytest.fail, lambda _: pytest.fail("asked")).seal(key)
    assert seal is not None
    header = parse_header(seal.start)
    assert header is not None
    [stanza] = [one for one in header.stanzas if one.kind == KIND]
    assert (stanza.arguments, stanza.body.decode()) == (("-",), key)
    remember_run(config.place, T, Run("f" * 32, "0" * 12, directories=("/data",)))
    with pytest.raises(ConfigError, match="has changed since the setup hook"):
        Encrypting(lambda: config, pytest.fail, lambda _: pytest.fail("asked")).seal(key)


def test_a_path_may_name_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", str(tmp_path))
    config = load(tmp_path, "encryption_identity_file: ${KEYS}/identity")
    assert config.encryption_identity_file == f"{tmp_path}/identity"


@pytest.mark.parametrize("option", ["encryption_recipients", "encryption_metadata_recipients"])
def test_an_empty_variable_does_not_turn_encryption_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """The hooks and the data commands of a backup may have different environments."""
    monkeypatch.setenv("KEYS", "")
    with pytest.raises(ConfigError, match=f"option '{option}', with the value of its variable: expected at least one"):
        load(tmp_path, f"{option}: ${{KEYS}}")


def test_an_identity_in_a_variable_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = new_identity().text
    monkeypatch.setenv("KEYS", secret)
    with pytest.raises(ConfigError, match="an identity itself stands there") as told:
        load(tmp_path, "encryption_identity_file: ${KEYS}")
    assert secret[20:40] not in str(told.value)


@pytest.mark.parametrize("option", ["encryption_recipients", "encryption_identity_file"])
def test_an_identity_in_the_wrong_place_is_never_shown(tmp_path: Path, option: str) -> None:
    secret = new_identity().text
    for text in (secret, secret.lower(), secret[:-1], f"{OURS.text} {secret}"):
        with pytest.raises(ConfigError, match="an identity") as told:
            load(tmp_path, f"{option}: {text}")
        assert secret[20:40].lower() not in str(told.value).lower()
        assert MASK in scrub(f"a library quotes {text} in its error")
        assert secret[20:40].lower() not in scrub(f"a library quotes {text} in its error").lower()
        copy = stored_copy((tmp_path / "config.yaml").read_text())
        assert secret[20:40].lower() not in copy.lower()


def test_the_stored_copy_shows_recipients_and_paths(tmp_path: Path) -> None:
    """They help who has to restore, and are public."""
    load(tmp_path, f"encryption_recipients: {OURS.text}", "encryption_identity_file: /keys/identity")
    copy = stored_copy((tmp_path / "config.yaml").read_text())
    assert OURS.text in copy
    assert "/keys/identity" in copy


def test_a_recipient_to_whom_nothing_can_be_encrypted_is_refused() -> None:
    """Its key is a point of low order: everybody knows the shared secret."""
    useless = Recipient(bytes(32), "age1abcdef")
    require_usable(Recipients((OURS,), (THEIRS,)))
    with pytest.raises(ConfigError, match="option 'encryption_metadata_recipients': nothing can be encrypted to age1"):
        require_usable(Recipients((OURS,), (useless,)))


def test_the_order_of_recipients_is_no_difference() -> None:
    claim = new_claim(T, CLUSTER, encryption=Encryption((OURS.text, THEIRS.text)))
    require_same_encryption(Encryption((THEIRS.text, OURS.text)), claim)
    for other in (None, Encryption((OURS.text,)), Encryption((OURS.text, THEIRS.text), ("age1abcdef",))):
        with pytest.raises(
            ConfigError, match=f"coordinator's claim of {T} says: encrypt to {OURS.text}, {THEIRS.text}"
        ):
            require_same_encryption(other, claim)


def test_how_a_backup_is_opened_follows_from_its_claim(tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    config = load(tmp_path, f"encryption_identity_file: {identity}")
    plain, encrypted = new_claim(T, CLUSTER), new_claim(T, CLUSTER, encryption=Encryption((OURS.text,)))
    assert make_opening(config, plain) is None
    with pytest.raises(ConfigError, match="can't be read"):
        make_opening(config, encrypted)
    unknown = make_opening(config, None)
    assert unknown is not None
    assert (unknown.is_encrypted, unknown.token, unknown.identities) == (None, "", ())
    assert "can't be read" in unknown.explain_no_identity()
    identity.write_text(IDENTITY.text)
    identity.chmod(0o600)
    opening = make_opening(config, encrypted)
    assert opening is not None
    assert (opening.is_encrypted, opening.token, opening.identities) == (True, encrypted.token, (IDENTITY,))
    assert opening.made_for == (OURS.text,)
    # The file is read each time, as by an agent that stays.
    identity.write_text(OTHER_IDENTITY.text)
    changed = make_opening(config, encrypted)
    assert changed is not None
    assert changed.identities == (OTHER_IDENTITY,)


def test_what_a_host_keeps_of_a_claim(tmp_path: Path) -> None:
    place = Place("s3://bucket", str(tmp_path / "state"))
    claim = new_claim(T, CLUSTER, encryption=Encryption((OURS.text,)))
    assert read_record(place, T) is None
    write_record(place, T, None, FETCHED)
    assert read_record(place, T) == ClaimRecord(None)
    write_record(place, T, claim)
    assert read_record(place, T) == ClaimRecord(claim)
    remove_outdated(place, T, by_content=True, fetched=False)
    remove_catalogs(place, T, fetched_only=True)
    assert read_record(place, T) == ClaimRecord(claim)
    remove_catalogs(place, T)
    assert read_record(place, T) is None


def test_without_a_setup_hook_it_counts_for_an_hour(tmp_path: Path) -> None:
    place = Place("s3://bucket", str(tmp_path / "state"))
    claim = new_claim(T, CLUSTER)
    write_record(place, T, claim, FETCHED)
    [path] = (tmp_path / "state/manifests").iterdir()
    os.utime(path, (0, path.stat().st_mtime - 3500))
    assert read_record(place, T) == ClaimRecord(claim)
    os.utime(path, (0, path.stat().st_mtime - 200))
    assert read_record(place, T) is None
    path.write_text("torn by a crash")
    assert read_record(place, T) is None
