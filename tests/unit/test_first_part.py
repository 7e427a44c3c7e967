"""Stores of which the first part shows what they can: nothing goes beside it, and the plan is theirs from then on."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.storage.mirror import MirroredStore
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store

PART = 1 << 16
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


class Showing(FakeStore):
    """Takes parts side by side, or not; its first part shows it."""

    def __init__(self, *, parallel: bool, before: Callable[[str, str, int], None] = lambda *_: None) -> None:
        super().__init__(self._shown, max_parts=10_000 if parallel else None)
        self.really = self.capabilities._replace(parallel_parts=parallel)
        self.capabilities = self.capabilities._replace(max_parts=10_000, first_part_shows=True)
        self.beside: list[int] = []
        self._also = before

    def _shown(self, method: str, key: str, number: int) -> None:
        self._also(method, key, number)
        if method == "write" and self.capabilities.first_part_shows:
            self.beside.append(number)
            self.capabilities = self.really


def uploaded(store: Store, tmp_path: Path, parts: int) -> bytes:
    data = os.urandom(parts * PART - 7)
    (tmp_path / "stream").write_bytes(data)
    with open(tmp_path / "stream", "rb") as stream:
        Upload(store, KEY, UploadSettings(PART, 4), lambda _: None).run(stream.fileno())
    return data


@pytest.mark.parametrize("around", [lambda store: store, lambda store: RetryingStore(store, RetryPolicy(outage=5))])
def test_where_they_go_one_after_another_the_first_part_is_alone_and_so_are_all(
    tmp_path: Path, around: Callable[[FakeStore], Store]
) -> None:
    store = Showing(parallel=False)
    data = uploaded(around(store), tmp_path, 20)
    assert store.objects == {KEY: data}
    assert (store.beside, store.most_flying) == ([1], 1)
    assert [number for method, _, number in store.calls if method == "write"] == list(range(1, 21))


def test_where_they_go_side_by_side_they_do_after_the_first(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def wait(method: str, _key: str, number: int) -> None:
        if method == "write" and 2 <= number <= 5:
            together.wait(30)  # with fewer at once it would break

    store = Showing(parallel=True, before=wait)
    data = uploaded(store, tmp_path, 20)
    assert store.objects == {KEY: data}
    assert store.beside == [1]


def test_what_another_stream_has_found_out_counts_for_one_that_was_planned_before(tmp_path: Path) -> None:
    store = Showing(parallel=False)
    store.capabilities = store.capabilities._replace(max_parts=10)
    upload = Upload(store, KEY, UploadSettings(PART, 4, fixed=True), lambda _: None)
    store.capabilities = store.really  # of any number of parts
    (tmp_path / "stream").write_bytes(bytes(20 * PART))
    with open(tmp_path / "stream", "rb") as stream:
        assert upload.run(stream.fileno()).size == 20 * PART


def test_whoever_stands_before_a_store_tells_what_it_can_now() -> None:
    store = Showing(parallel=False)
    retrying = RetryingStore(store, RetryPolicy(outage=5))
    mirrored = MirroredStore(store, lambda: store, store)
    store.capabilities = store.really
    assert retrying.capabilities == mirrored.capabilities == store.really
