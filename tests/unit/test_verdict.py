"""Verdicts of a verification, in the names of objects."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.integrity import verdict
from fsspec_gp_plugin.integrity.verdict import Verdict


def test_a_name_tells_it() -> None:
    made = verdict.new((1, 4), well=False)
    assert verdict.read(made.name) == made


@pytest.mark.parametrize("name", ["gpbackup_1_report", "fsspec_gp_plugin/h.1.manifest.gz", "x/verified.0-of-1.1.ok"])
def test_other_names_tell_none(name: str) -> None:
    assert verdict.read(f"{name}") is None


@pytest.mark.parametrize(
    ("verdicts", "told"),
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
def test_one_for_all_of_them(verdicts: list[tuple[int, int, int, bool]], told: tuple[int, bool] | None) -> None:
    found = verdict.of_all(Verdict(*one) for one in verdicts)
    assert (found and (found.time, found.well)) == told
