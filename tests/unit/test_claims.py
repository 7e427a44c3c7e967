"""Of two runs that want one prefix, one gets it, and the other is told whose it is and touches nothing."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups import claim_reading, claim_writing
from fsspec_gp_plugin.errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.integrity.claim import NAME, SETTLED, Claim, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

T = "20260101120000"
PREFIX = f"backups/20260101/{T}/"
OURS = Cluster("", "7001", "cdw", "5432", "/data/gpseg-1")
THEIRS = Cluster("", "7002", "other", "5432", "/data/gpseg-1")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def claimed(store: FakeStore, cluster: Cluster, notes: list[str] | None = None) -> tuple[Claim, bool]:
    """As the setup hook of a coordinator does it."""
    note = (notes if notes is not None else []).append
    claim_reading.require_free(store, PREFIX, cluster, (), note)
    return claim_writing.claim_prefix(store, PREFIX, new_claim(T, cluster), (), note)


def test_the_first_gets_it_and_the_store_proves_it() -> None:
    store = FakeStore()
    claim, proven = claimed(store, OURS)
    assert proven
    assert set(store.objects) == {PREFIX + NAME}
    assert claim_reading.find_claim(store, PREFIX, lambda _: False) == claim
    # A refusal is the only proof, so it is asked for.
    assert [call[0] for call in store.calls if call[0] == "create"] == ["create"] * 2


@pytest.mark.parametrize("creates", [True, False])
def test_the_second_is_told_whose_it_is(creates: bool) -> None:
    store = FakeStore(creates=creates)
    claimed(store, OURS)
    before = dict(store.objects)
    with pytest.raises(
        claim_reading.ClaimedError, match=r"is claimed by the cluster of coordinator cdw:5432, /data/gpseg-1"
    ):
        claimed(store, THEIRS)
    assert store.objects == before


@pytest.mark.parametrize("kind", ["creates", "can not", "ignores"])
def test_of_several_at_once_exactly_one_gets_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore(creates=kind != "can not", ignores_condition=kind == "ignores")
    monkeypatch.setattr("time.sleep", threading.Event().wait)
    monkeypatch.setattr(claim_writing, "_PAUSE_SECONDS", 0.3)
    count = 6
    together = threading.Barrier(count)
    won: list[Claim] = []
    told: list[str] = []

    def run(number: int) -> None:
        claim_reading.require_free(store, PREFIX, OURS, (), lambda _: None)
        together.wait()
        try:
            won.append(
                claim_writing.claim_prefix(store, PREFIX, new_claim(T, Cluster(host=f"h{number}")), (), lambda _: None)[
                    0
                ]
            )
        except claim_reading.ClaimedError as error:
            told.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(told) == count - 1
    if kind == "creates":
        assert {f"the cluster of coordinator {won[0].cluster.host} since" in text for text in told} == {True}
    assert claim_reading.find_claim(store, PREFIX, lambda _: False) == won[0]
    assert len(store.objects) == (1 if kind == "creates" else 2)


def test_a_store_that_ignores_the_condition_is_found_out() -> None:
    store = FakeStore(ignores_condition=True)
    notes: list[str] = []
    claim, proven = claimed(store, OURS, notes)
    assert not proven
    assert set(store.objects) == {PREFIX + claim.own_name, PREFIX + SETTLED}
    assert claim_reading.find_claim(store, PREFIX, lambda _: False) == claim
    assert "ignores the condition" in notes[0]
    assert "best effort" in notes[1]


def test_a_store_that_refuses_the_condition_is_claimed_by_best_effort() -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method == "create":
            raise StorageError("501: a header you provided implies functionality that is not implemented")

    notes: list[str] = []
    claim, proven = claimed(FakeStore(before), OURS, notes)
    assert not proven
    assert claim.cluster == OURS
    assert "501" in notes[0]


class UnansweredStore(FakeStore):
    """Creates the object, and its answer is lost; the retries meet it."""

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        if key not in self.objects:
            super().create(key, data)
        raise AlreadyExists(f"{key} exists")


def test_an_unanswered_attempt_is_known_by_its_token() -> None:
    claim, proven = claimed(UnansweredStore(), OURS)
    assert proven
    assert claim.cluster == OURS


def test_a_claim_that_can_not_be_read_is_another_s() -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method == "fetch":
            raise AccessDenied("denied")

    store = UnansweredStore(before)
    with pytest.raises(claim_writing.UnreadableClaimError, match="can't read whose claim it is"):
        claimed(store, OURS)


@pytest.mark.parametrize("kind", [Unreachable, AccessDenied])
def test_a_store_that_does_not_answer_or_take_it_fails(kind: type[StorageError]) -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method in ("create", "put"):
            raise kind("away")

    with pytest.raises(kind):
        claimed(FakeStore(before), OURS)


def test_objects_that_nobody_claims_are_not_mixed_with_ours() -> None:
    store = FakeStore()
    store.objects[f"{PREFIX}gpbackup_{T}_report"] = b"the S3 plugin's"
    with pytest.raises(claim_reading.ClaimedError, match=rf"already holds a backup .*gpbackup_{T}_report"):
        claimed(store, OURS)
    assert len(store.objects) == 1


def test_a_repeated_hook_of_the_same_run_finds_its_own_claim() -> None:
    store = FakeStore()
    claim, _ = claimed(store, OURS)
    store.objects[f"{PREFIX}gpbackup_0_{T}_16384"] = b"data"
    assert claim_reading.require_free(store, PREFIX, OURS, (claim.token,), lambda _: None) == claim
    assert claim_writing.claim_prefix(store, PREFIX, new_claim(T, OURS), (claim.token,), lambda _: None) == (
        claim,
        True,
    )


def test_who_may_not_list_says_so_and_goes_on() -> None:
    class Unlisted(FakeStore):
        def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
            raise AccessDenied(f"may not list {prefix} {unfinished}")

    notes: list[str] = []
    store = Unlisted()
    assert claimed(store, OURS, notes)[1]
    assert "can't list" in notes[0]
    assert claimed(Unlisted(creates=False), OURS, notes)[1] is False


def test_a_claim_that_appears_late_is_waited_for() -> None:
    store = FakeStore()
    claim = new_claim(T, OURS)
    looks = itertools.count()

    def look_again(number: int) -> bool:
        if next(looks) == 2:
            store.objects[PREFIX + NAME] = claim.encode()
        return number < 5

    assert claim_reading.find_claim(store, PREFIX, look_again) == claim
    assert next(looks) == 3


def test_no_claim_is_found_at_another_place() -> None:
    with pytest.raises(NotFound):
        claim_reading.find_claim(FakeStore(), PREFIX, claim_reading.wait_for_others)


def test_two_claims_are_refused() -> None:
    store = FakeStore(creates=False)
    for cluster in (OURS, THEIRS):
        claim = new_claim(T, cluster)
        store.objects[PREFIX + claim.own_name] = claim.encode()
    with pytest.raises(claim_reading.ClaimedError, match=r"cdw.* and by .*other|other.* and by .*cdw"):
        claim_reading.find_claim(store, PREFIX, lambda _: False)
    with pytest.raises(claim_reading.ClaimedError, match="mixed"):
        claim_reading.require_only_claim(store, PREFIX, claim.token)


def test_a_store_that_refuses_to_replace_in_its_own_words_has_proven_it() -> None:
    """Who may only create is denied the second attempt, whatever its condition."""

    def before(method: str, key: str, _number: int) -> None:
        if method == "create" and key in store.objects:
            raise AccessDenied("needs storage.objects.delete")

    store = FakeStore(before)
    assert claimed(store, OURS)[1]


def test_what_can_not_be_deleted_after_an_ignored_condition_is_passed_over() -> None:
    class Kept(FakeStore):
        def delete(self, keys: Iterable[str]) -> None:
            raise AccessDenied(f"may not delete {list(keys)}")

    store = Kept(ignores_condition=True)
    notes: list[str] = []
    claim, proven = claimed(store, OURS, notes)
    assert not proven
    assert "can't be removed" in " ".join(notes)
    assert claim_reading.find_claim(store, PREFIX, lambda _: False) == claim


@pytest.mark.parametrize("token", ["0" * 32, "f" * 32])
@pytest.mark.parametrize("name", [NAME, SETTLED])
def test_a_claim_that_is_proven_or_settled_wins_against_any_token(token: str, name: str) -> None:
    """Also against one whose look for other claims came before it."""
    store = FakeStore(creates=False)
    first = new_claim(T, THEIRS)
    store.objects[PREFIX + name] = first.encode()
    late = Claim(T, token, OURS, 1)
    with pytest.raises(claim_reading.ClaimedError, match="coordinator other"):
        claim_writing.claim_prefix(store, PREFIX, late, (), lambda _: None)
    assert set(store.objects) == {PREFIX + name}


@pytest.mark.parametrize("kind", [AccessDenied, Unreachable, StorageError])
def test_who_fails_takes_back_no_claim_of_another(kind: type[StorageError]) -> None:
    store = FakeStore()
    winner, _ = claimed(store, THEIRS)
    loser = new_claim(T, OURS)
    assert PREFIX + NAME not in claim_writing.withdraw_claim(store, PREFIX, loser, is_written=False)
    assert PREFIX + NAME in claim_writing.withdraw_claim(store, PREFIX, winner, is_written=False)

    def before(method: str, _key: str, _number: int) -> None:
        if method == "fetch":
            raise kind("fails")

    store_that_fails = FakeStore(before)
    store_that_fails.objects = store.objects
    assert PREFIX + NAME not in claim_writing.withdraw_claim(store_that_fails, PREFIX, loser, is_written=False)


def test_an_earlier_call_of_the_cluster_itself_is_told_apart() -> None:
    store = FakeStore()
    claimed(store, OURS)
    with pytest.raises(
        claim_reading.ClaimedError, match=f"earlier call for this cluster .* `cleanup CONFIG --run {T} --yes`"
    ):
        claimed(store, OURS)


def test_a_claim_that_is_withdrawn_meanwhile_is_none() -> None:
    """It is listed, and gone when it is read."""
    store = FakeStore()
    claimed(store, THEIRS)

    def before(method: str, key: str, _number: int) -> None:
        if method == "fetch":
            store_that_forgets.objects.pop(key, None)

    store_that_forgets = FakeStore(before)
    store_that_forgets.objects = store.objects
    assert claim_reading.require_free(store_that_forgets, PREFIX, OURS, (), lambda _: None) is None
