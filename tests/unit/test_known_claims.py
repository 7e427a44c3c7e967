"""A claim is read once a host: by the setup hook of a restore, or by the first command without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import AccessDenied, ConfigError
from fsspec_gp_plugin.integrity.claim import NAME, Encryption, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.protocol.decrypting import opening_of
from fsspec_gp_plugin.protocol.known_claims import known_claim
from tests.recorded import CHAIN, recorded
from tests.sealing import IDENTITY, OTHER_IDENTITY, encrypt
from tests.unit.restore_host import Host, Store

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.age.opening import Opening

ONE = recorded("default")
TABLE = ONE.prefix + ONE.data[0]
CLUSTER = Cluster("", "7001", "cdw", "5432", "/data/gpseg-1")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", str(tmp_path))
    identity = tmp_path / "identity"
    identity.write_text(IDENTITY.text)
    identity.chmod(0o600)
    made = Host(tmp_path)
    made.options = f"  encryption_identity_file: {identity}\n"
    return made


def claimed(encryption: Encryption | None) -> Store:
    """A target with a backup and its claim; where it is encrypted, its table of contents is."""
    store = Store("default")
    claim = new_claim(ONE.timestamp, CLUSTER, encryption=encryption)
    store.objects[ONE.prefix + NAME] = claim.encode()
    if encryption is not None:
        contents = f"{ONE.prefix}gpbackup_{ONE.timestamp}_toc.yaml"
        store.objects[contents] = encrypt(contents, store.objects[contents], claim.token)
    return store


def reads(store: Store) -> int:
    """How often the claim was read."""
    return sum(method in ("fetch", "read") and key == ONE.prefix + NAME for method, key, _ in store.calls)


def opened(host: Host, store: Store) -> list[Opening | None]:
    """How three tables are opened, by a process each."""
    return [opening_of(host.context(store), ONE.prefix + name) for name in ONE.data[:3]]


@pytest.mark.parametrize("encryption", [None, Encryption((IDENTITY.recipient.text,))])
@pytest.mark.parametrize("checksum", ["crc32c", "off"])
def test_the_setup_hook_reads_it_for_all_tables(host: Host, encryption: Encryption | None, checksum: str) -> None:
    host.options += f"  checksum: {checksum}\n"
    store = claimed(encryption)
    for scope, content in (("coordinator", ""), ("segment_host", ""), ("segment", "0"), ("segment", "1")):
        host.set_up(store, "default", scope, content)
    # Once more to open gpbackup's files, as there is no summary of them.
    count = 1 if encryption is None else 2
    assert reads(store) == count
    for opening in opened(host, store):
        assert (opening is None) == (encryption is None)
    assert reads(store) == count


@pytest.mark.parametrize("encryption", [None, Encryption((IDENTITY.recipient.text,))])
def test_without_a_hook_the_first_table_reads_it(host: Host, encryption: Encryption | None) -> None:
    store = claimed(encryption)
    for opening in opened(host, store):
        assert (opening is None) == (encryption is None)
    assert reads(store) == 1


def test_a_backup_that_nobody_claims_is_asked_for_it_once(host: Host) -> None:
    """As one of the S3 plugin's: the first bytes of each object tell whether it is encrypted."""
    store = Store("default")
    for opening in opened(host, store):
        assert opening is not None
        assert (opening.is_encrypted, opening.token) == (None, "")
    assert len(store.listed) == 1


def test_a_claim_that_must_not_be_read_is_none(host: Host) -> None:
    class Closed(Store):
        def step(self, method: str, key: str, number: int = 0) -> None:
            super().step(method, key, number)
            if "claim" in key:
                raise AccessDenied("no")

    store = Closed("default")
    store.objects[ONE.prefix + NAME] = new_claim(ONE.timestamp, CLUSTER).encode()
    assert known_claim(host.context(store), ONE.timestamp) is None
    host.set_up(store, "default")
    assert known_claim(host.context(store), ONE.timestamp) is None


@pytest.mark.parametrize("is_claimed", [True, False])
def test_the_coordinator_opens_the_contents_of_a_base_without_needed_data(host: Host, is_claimed: bool) -> None:
    """A restore reads them. The hosts of segments need no identity for them."""
    store = Store(*CHAIN)
    for name in CHAIN:
        one = recorded(name)
        is_other = name == "incremental_2_nothing_changed"
        encryption = Encryption((OTHER_IDENTITY.recipient.text,)) if is_other else None
        claim = new_claim(one.timestamp, CLUSTER, encryption=encryption)
        if is_claimed or not is_other:
            store.objects[one.prefix + NAME] = claim.encode()
        if is_other:
            contents = f"{one.prefix}gpbackup_{one.timestamp}_toc.yaml"
            store.objects[contents] = encrypt(contents, store.objects[contents], claim.token, OTHER_IDENTITY)
    with pytest.raises(ConfigError, match="none of the identities in"):
        host.set_up(store, CHAIN[-1])
    for scope, content in (("segment_host", ""), ("segment", "0")):
        host.set_up(store, CHAIN[-1], scope, content)
    identity = host.options.split()[-1]
    with open(identity, "a", encoding="utf-8") as file:
        file.write(f"\n{OTHER_IDENTITY.text}\n")
    for scope, content in (("coordinator", ""), ("segment", "0")):
        host.set_up(store, CHAIN[-1], scope, content)
    with open(identity, "w", encoding="utf-8") as file:
        file.write(IDENTITY.text)
    host.set_up(store, CHAIN[-1], "segment", "0")
