"""The claim of a backup at its replica."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.replica_checks import copy_claim, require_same_claim
from fsspec_gp_plugin.errors import AccessDenied, PluginError
from fsspec_gp_plugin.integrity.claim import NAME, Claim, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from tests.fakes import FakeStore

T = "20260102030405"
PREFIX = backup_prefix(T)
OURS, OTHERS = (new_claim(T, Cluster(host=name)) for name in ("mdw-a", "mdw-b"))


def holding(claim: Claim | None, name: str = NAME, store: FakeStore | None = None) -> FakeStore:
    store = store or FakeStore()
    if claim is not None:
        store.objects[PREFIX + name] = claim.encode()
    return store


def copy(source: FakeStore, target: FakeStore) -> None:
    found = require_same_claim(source, target, PREFIX)
    assert found is not None
    copy_claim(source, target, PREFIX, found)


@pytest.mark.parametrize("creates", [True, False])
@pytest.mark.parametrize("by_token", [False, True])
def test_it_is_the_same_at_the_replica_and_may_be_copied_again(by_token: bool, creates: bool) -> None:
    source, target = holding(OURS, OURS.own_name if by_token else NAME), FakeStore(creates=creates)
    for _ in range(2):
        copy(source, target)
        assert target.objects == source.objects
    assert {method for method, _, _ in target.calls} & {"put", "create"} == {"create" if creates else "put"}


@pytest.mark.parametrize("by_token", [False, True])
def test_a_prefix_that_another_run_claims_is_refused(by_token: bool) -> None:
    theirs = holding(OTHERS, OTHERS.own_name if by_token else NAME)
    for source in (holding(OURS), FakeStore()):
        with pytest.raises(PluginError, match="is a backup of the cluster of coordinator mdw-b"):
            require_same_claim(source, theirs, PREFIX)
    assert not [method for method, _, _ in theirs.calls if method in ("put", "create")]


def faster(ignores_condition: bool) -> FakeStore:
    """At whose prefix another run comes between the look and the writing, or right after it."""
    store = FakeStore(lambda method, _, __: act(method), ignores_condition=ignores_condition)

    def act(method: str) -> None:
        if method == ("created" if ignores_condition else "create"):
            holding(OTHERS, store=store)

    return store


@pytest.mark.parametrize("ignores_condition", [False, True])
def test_another_run_that_is_faster_is_refused_too(ignores_condition: bool) -> None:
    """Also at a store that ignores the condition, as the claim is read back."""
    target = faster(ignores_condition)
    with pytest.raises(PluginError, match="mdw-b"):
        copy(holding(OURS), target)
    assert target.objects[PREFIX + NAME] == OTHERS.encode()


def test_a_claim_at_the_replica_that_can_not_be_read_is_refused() -> None:
    target = FakeStore()
    target.objects[PREFIX + NAME] = b"?"
    with pytest.raises(PluginError, match="it is unknown whose"):
        require_same_claim(holding(OURS), target, PREFIX)

    def denied(method: str, key: str, _: int) -> None:
        if method == "fetch":
            raise AccessDenied(key)

    with pytest.raises(AccessDenied):
        require_same_claim(holding(OURS), holding(OURS, store=FakeStore(denied)), PREFIX)


def test_a_backup_without_a_claim_has_a_copy_without_one() -> None:
    assert require_same_claim(FakeStore(), FakeStore(), PREFIX) is None
