"""Catalogs: what they keep of all manifests, and what disagreeing ones can't do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.errors import LocalFileError
from fsspec_gp_plugin.integrity import manifest, restore_state
from fsspec_gp_plugin.integrity.catalog import Catalog
from fsspec_gp_plugin.integrity.catalog_files import FETCHED
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest import BadManifest, Budget, Header

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.integrity.merging import Manifest

T = "20260101120000"
PLACE = private.Place("s3://bucket/path")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def described(created: int, *given: Entry, host: str = "h", mark: str = "", claim: str = "") -> Manifest:
    return f"manifest of {host} at {created}", [Header(T, host, created, len(given), "", claim, mark), *given]


def catalogs(home: Path) -> list[str]:
    return sorted(path.name for path in (home / ".fsspec_gp_plugin" / "manifests").iterdir())


def test_a_catalog_tells_what_all_manifests_say(home: Path) -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        assert catalog.entry("a") is None
        assert catalog.difference("", []) is None
        one = described(2, Entry("a", 1, 2), Entry("gpbackup_1_x", 3, 4))
        two = described(1, Entry("a", 9, 9), Entry("gpbackup_10_x", 5, 6), Entry("gpbackup_\udcff", 7, 8))
        assert catalog.build("one two", lambda: [one, two]) == 4
        assert catalog.entry("a") == Entry("a", 1, 2)
        assert catalog.entry("b") is None
        assert (catalog.has("gpbackup_1"), catalog.has("gpbackup_2"), catalog.has("")) == (True, False, True)
        assert catalog.build("three", lambda: [described(3, Entry("b", 1, 1))]) == 1
        assert catalog.entry("a") is None
        # Of the same manifests it is not made again.
        assert catalog.build("three", list) == 1
        assert catalog.entry("b") == Entry("b", 1, 1)
        catalog.remove()
        assert catalog.entry("b") is None
    assert catalogs(home) == []


@pytest.mark.usefixtures("home")
def test_a_catalog_is_compared_with_a_listing() -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        given_entries = [Entry(name, size, 0) for name, size in (("x_1", 1), ("x_2", 2), ("x_3", 3), ("y", 4))]
        catalog.build("", lambda: [described(1, *given_entries)])
        assert catalog.difference("x_", iter([("x_1", 1), ("x_2", 2), ("x_3", 3), ("z", 5)])) is None
        assert catalog.difference("x_", iter([("x_1", 1), ("x_3", 3)])) == (1, 3, "x_2", 2, None)
        assert catalog.difference("x_", iter([("x_1", 7)])) == (3, 3, "x_1", 1, 7)
        assert catalog.difference("", iter([])) == (4, 4, "x_1", 1, None)
        assert catalog.difference("z", iter([])) is None


def test_a_catalog_that_can_not_be_built_leaves_the_one_before(home: Path) -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        for _ in range(2):
            with pytest.raises(BadManifest):
                catalog.build("bad", lambda: [("key", manifest.decode("key", T, [b"junk"], Budget()))])
            catalog.build("good", lambda: [described(1, Entry("a", 1, 2))])
        assert catalog.entry("a") == Entry("a", 1, 2)
    assert len(catalogs(home)) == 1


def test_a_catalog_that_can_not_be_read_is_an_error(home: Path) -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        catalog.build("", lambda: [described(1, Entry("a", 1, 2))])
        next((home / ".fsspec_gp_plugin" / "manifests").iterdir()).write_bytes(b"no database" * 1000)
        with pytest.raises(LocalFileError, match=r"can't read .*/manifests/"):
            catalog.entry("a")
        # The next restore makes it anew.
        assert catalog.build("", lambda: [described(1, Entry("a", 1, 2))]) == 1


@pytest.mark.usefixtures("home")
def test_a_catalog_may_vanish_while_it_is_read() -> None:
    """As another restore of the same backup ends."""
    stop = threading.Event()

    def come_and_go() -> None:
        with Catalog(PLACE, T, make=True) as catalog:
            while not stop.is_set():
                catalog.build("", lambda: [described(1, Entry("a", 1, 2))])
                catalog.remove()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        with Catalog(PLACE, T, make=True) as catalog:
            seen = {catalog.entry("a") for _ in range(3000)}
    finally:
        stop.set()
        other.join()
    assert seen <= {None, Entry("a", 1, 2)}


def test_a_catalog_stays_until_nobody_needs_it(home: Path) -> None:
    earlier, later = "20260101110000", T
    for timestamp in (earlier, later):
        with Catalog(PLACE, timestamp, make=True) as catalog:
            catalog.build("", lambda: [described(1, Entry("a", 1, 2))])
    restore_state.begin_restore(PLACE, later, [later, earlier])
    restore_state.begin_restore(PLACE, later, [later, earlier])
    restore_state.begin_restore(PLACE, earlier, [earlier])
    restore_state.end_restore(private.Place("s3://another"), later)
    restore_state.end_restore(PLACE, later)
    assert sum(name.endswith(".db") for name in catalogs(home)) == 2
    restore_state.end_restore(PLACE, later)
    assert [name[:14] for name in catalogs(home) if name.endswith(".db")] == [earlier]
    restore_state.end_restore(PLACE, earlier)
    restore_state.end_restore(PLACE, earlier)
    assert catalogs(home) == []


A, B = Entry("a", 1, 1), Entry("b", 2, 2)
OTHER = Entry("a", 1, 9)
ODD = Entry("a", 8, 1)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("manifests", "kept"),
    [
        # A host's own second manifest counts, wherever it is listed.
        ([described(1, A), described(2, OTHER)], OTHER),
        ([described(2, OTHER), described(1, A)], OTHER),
        ([described(1, A, mark="m"), described(2, OTHER, B, mark="m")], OTHER),
        # Two hosts may say the same.
        ([described(1, A), described(2, A, B, host="i")], A),
        # A host took its word back, and then agrees with the other.
        ([described(1, A), described(2, OTHER, host="i"), described(3, OTHER)], OTHER),
        ([described(3, OTHER, host="i"), described(1, A), described(2, OTHER)], OTHER),
    ],
)
def test_manifests_that_agree(manifests: list[Manifest], kept: Entry) -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        catalog.build("", lambda: manifests)
        assert catalog.entry("a") == kept


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "manifests",
    [
        [described(1, A), described(2, OTHER, host="i")],
        [described(1, A), described(2, ODD, host="i")],
        [described(2, A), described(1, OTHER, host="i")],
        # One name, two hosts or two runs.
        [described(1, A, mark="m"), described(2, OTHER, host="h", mark="n")],
        # They agreed, and then one of them took its word back.
        [described(1, A), described(1, A, host="i"), described(2, OTHER, host="i")],
        [described(1, A), described(2, OTHER), described(3, A, host="i")],
        [described(1, A, host="i"), described(2, OTHER), described(1, A)],
    ],
)
def test_manifests_that_disagree_are_an_error(manifests: list[Manifest]) -> None:
    more = described(9, *(Entry(f"n{number}", number, number) for number in range(3)), host="j")
    with Catalog(PLACE, T, make=True) as catalog, pytest.raises(BadManifest) as raised:
        catalog.build("", lambda: [*manifests, more])
    told = str(raised.value)
    assert "two hosts disagree about a: " in told
    assert " says 1 bytes with CRC-32C 00000001 (manifest of " in told


@pytest.mark.usefixtures("home")
def test_how_many_objects_two_manifests_disagree_about() -> None:
    ours = [Entry(f"gpbackup_0_{number}", 1, number) for number in range(5)]
    theirs = [Entry(one.name, 2, 0) for one in ours[1:4]]
    with Catalog(PLACE, T, make=True) as catalog:
        with pytest.raises(BadManifest) as raised:
            catalog.build("", lambda: [described(1, *ours), described(2, *theirs, host="sdw2")])
        assert not catalog.exists()
    assert str(raised.value) == (
        "two hosts disagree about gpbackup_0_1 and 2 more objects: h says 1 bytes with CRC-32C 00000001 (manifest of h "
        "at 1) and sdw2 says 2 bytes with CRC-32C 00000000 (manifest of sdw2 at 2); two runs may have written it"
    )


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("claim", "claims", "is_told"),
    [
        ("t", ["t", "t"], False),
        ("t", ["t", ""], False),
        ("", ["t", "t"], False),
        ("t", ["t", "u"], True),
        ("u", ["t", "t"], True),
        # Nobody knows the claim, and yet they can't both belong to it.
        ("", ["t", "u"], True),
    ],
)
def test_a_manifest_of_another_run_is_an_error(claim: str, claims: list[str], is_told: bool) -> None:
    manifests = [described(number, claim=one, host=f"h{number}") for number, one in enumerate(claims)]
    with Catalog(PLACE, T, make=True) as catalog:
        if not is_told:
            assert catalog.build("", lambda: manifests, claim) == 0
            return
        with pytest.raises(BadManifest, match=r"manifest of h[01] at [01] of host h[01] belongs to another run"):
            catalog.build("", lambda: manifests, claim)


def test_one_at_a_time_may_build_it(home: Path) -> None:
    with Catalog(PLACE, T, FETCHED, make=True) as ours, Catalog(PLACE, T, FETCHED) as theirs:
        held = ours.lock()
        assert held is not None
        assert theirs.lock() is None
        # Who is removed meanwhile stops nobody.
        theirs.remove()
        other = theirs.lock()
        assert other is not None
        with held, other:
            pass
        again = ours.lock()
        assert again is not None
        with again:
            assert not ours.is_younger(60)
            ours.build("", list)
            assert ours.is_younger(60)
            assert not ours.is_younger(0)
        ours.remove()
    assert catalogs(home) == []


def test_what_was_fetched_without_a_setup_goes_with_the_restores_end(home: Path) -> None:
    with Catalog(PLACE, T, FETCHED, make=True) as catalog:
        catalog.build("", list)
    restore_state.end_restore(PLACE, T)
    assert catalogs(home) == []
