"""When two targets count as two places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups import replica_checks
from fsspec_gp_plugin.backups.replica_checks import check_targets_differ
from fsspec_gp_plugin.errors import AccessDenied, ConfigError, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.keys import backup_prefix
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

PREFIX = backup_prefix("20260102030405")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_checks, "_PAUSE_SECONDS", 0.0)


def failing(method: str, error: StorageError, times: int = 1000) -> Callable[[str, str, int], None]:
    """The first so many calls of a method fail."""
    left = [times]

    def before(called: str, key: str, _: int) -> None:
        if called == method and left[0]:
            left[0] -= 1
            raise type(error)(f"{key}: {error}")

    return before


class Cached(FakeStore):
    """Answers a few reads by what was written through it, whatever others have written since."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self._cache: dict[str, bytes] = {}
        self._answers = answers

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        self._cache[key] = bytes(data)
        return super().put(key, data)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        if self._answers:
            self._answers -= 1
            self.objects, there = {**self.objects, **self._cache}, self.objects
            info, pieces = super().fetch(key, into)
            told = list(pieces)
            self.objects = there
            return info, iter(told)
        return super().fetch(key, into)


def doubt_about(first: FakeStore, replica: FakeStore) -> StorageError | None:
    with check_targets_differ(first, replica, PREFIX, lambda _: None) as doubt:
        assert any("replicating" in key for key in replica.objects) or first.objects is replica.objects
    assert not [key for key in [*first.objects, *replica.objects] if "replicating" in key]
    return doubt


def test_each_must_give_back_its_own_and_is_asked_repeatedly() -> None:
    first, replica = FakeStore(), FakeStore()
    assert doubt_about(first, replica) is None
    for store in (first, replica):
        assert [method for method, _, _ in store.calls].count("fetch") == 3


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_one_place_behind_a_cache_is_found_to_be_one(answers: int) -> None:
    first, replica = FakeStore(), Cached(answers)
    replica.objects = first.objects
    with (
        pytest.raises(ConfigError, match="is the same place as `url`"),
        check_targets_differ(first, replica, PREFIX, print),
    ):
        raise AssertionError("told apart")
    assert not first.objects


@pytest.mark.parametrize("of_replica", [False, True])
def test_what_can_not_be_told_is_a_doubt(of_replica: bool) -> None:
    for error, method in ((AccessDenied("denied"), "fetch"), (NotFound("not there"), "fetch")):
        stores = [FakeStore(), FakeStore()]
        stores[of_replica] = FakeStore(failing(method, error))
        assert isinstance(doubt_about(*stores), type(error))
    stores = [FakeStore(), FakeStore()]
    stores[of_replica] = FakeStore(failing("fetch", NotFound("not yet there"), times=2))
    assert doubt_about(*stores) is None


def test_who_may_not_write_at_the_first_target_is_found_out_where_it_is_the_same_place() -> None:
    first, replica = FakeStore(failing("put", AccessDenied("denied"))), FakeStore()
    assert isinstance(doubt_about(first, replica), AccessDenied)
    replica.objects = first.objects
    with (
        pytest.raises(ConfigError, match="is the same place as `url`"),
        check_targets_differ(first, replica, PREFIX, print),
    ):
        raise AssertionError("told apart")


def test_a_mark_is_removed_also_where_its_writing_was_not_answered() -> None:
    class Unanswered(FakeStore):
        def put(self, key: str, data: memoryview) -> ObjectInfo:
            super().put(key, data)
            raise Unreachable("no answer")

    assert isinstance(doubt_about(Unanswered(), FakeStore()), Unreachable)


def test_a_place_that_changes_what_it_is_given_proves_nothing() -> None:
    class Other(FakeStore):
        def put(self, key: str, data: memoryview) -> ObjectInfo:
            return super().put(key, memoryview(bytes(data).upper()))

    assert "as it was written" in str(doubt_about(Other(), FakeStore()))
