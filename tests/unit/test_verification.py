"""Verdicts of a verification, in the names of objects."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.integrity import verification
from fsspec_gp_plugin.integrity.verification import VerificationResult
from tests.fakes import FakeStore
from tests.unit.site import PREFIX, T


def test_a_name_tells_it() -> None:
    for well, not_checked in ((False, None), (True, None), (False, 0), (False, 12)):
        made = verification.VerificationResult.now((1, 4), well=well, not_checked=not_checked)
        assert verification.parse_name(made.name) == made


def test_what_it_is_called() -> None:
    told = {"ok": "ok", "failed": "failed", "unchecked-0": "not checked", "unchecked-1200": "1,200 not checked"}
    for word, text in told.items():
        found = verification.parse_name(f"fsspec_gp_plugin/verified.0-of-1.5.{word}")
        assert (str(found), found is not None and found.well) == (text, word == "ok")


@pytest.mark.parametrize("name", ["gpbackup_1_report", "fsspec_gp_plugin/h.1.manifest.gz", "x/verified.0-of-1.1.ok"])
def test_other_names_tell_none(name: str) -> None:
    assert verification.parse_name(f"{name}") is None


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([], None),
        ([(0, 1, 5, True)], (5, True)),
        ([(0, 1, 5, True), (0, 1, 9, True)], (9, True)),
        ([(0, 1, 5, True), (0, 1, 9, False)], (9, False)),
        ([(0, 1, 5, False), (0, 1, 9, True)], (9, True)),
        # A part of it alone tells nothing, unless it failed.
        ([(0, 2, 5, True)], None),
        ([(0, 2, 5, True), (1, 2, 7, True)], (5, True)),
        ([(0, 2, 5, True), (1, 2, 7, False)], (7, False)),
        ([(0, 1, 3, True), (1, 2, 7, False)], (7, False)),
        ([(0, 1, 8, True), (1, 2, 7, False)], (8, True)),
        ([(0, 2, 5, True), (3, 2, 5, True)], None),
    ],
)
def test_one_for_all_of_them(results: list[tuple[int, int, int, bool]], told: tuple[int, bool] | None) -> None:
    found = verification.combine(VerificationResult(*one) for one in results)
    assert (found and (found.time, found.well)) == told


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([(0, 1, 5, True), (0, 1, 9, False, 3)], (9, False, 3)),
        ([(0, 1, 5, False, 3), (0, 1, 9, True)], (9, True, None)),
        # A fault counts until all has been read without one.
        ([(0, 1, 5, False), (0, 1, 9, False, 3)], (9, False, 3)),
        ([(0, 1, 9, False), (0, 1, 5, False, 3)], (9, False, None)),
        ([(0, 2, 5, True), (1, 2, 7, False, 3)], (5, False, 3)),
        ([(0, 2, 5, False, 0), (1, 2, 7, False, 3)], (5, False, 3)),
        ([(0, 2, 5, False, 4)], None),
    ],
)
def test_what_was_not_checked_in_a_part_was_not_checked(
    results: list[tuple[int, int, int, bool, int]], told: tuple[int, bool, int | None] | None
) -> None:
    found = verification.combine(VerificationResult(*one) for one in results)
    assert (found and (found.time, found.well, found.not_checked)) == told


def test_results_of_parts_are_found_in_their_folder() -> None:
    store = FakeStore()
    for end in ("toc.yaml", "report"):
        store.objects[f"{PREFIX}gpbackup_{T}_{end}"] = b"x"
    for part in range(3):
        [backup] = survey(store)
        assert backup.verified is None
        store.objects[PREFIX + VerificationResult(part, 3, 5 + part, well=True).name] = b"{}"
    [backup] = survey(store)
    assert backup.verified == VerificationResult(0, 3, 5, well=True)
    assert not any(info.key.count("/") < 4 for info in store.find(f"{PREFIX}fsspec_gp_plugin/"))
