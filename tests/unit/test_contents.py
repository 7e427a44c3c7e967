"""Content ids in names of manifests, and how work is shared by content id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.integrity.contents import content_of, format_contents, key_start, parse_contents, share_of
from fsspec_gp_plugin.integrity.object_names import (
    FOLDER,
    ManifestName,
    is_manifest,
    listed_contents,
    name_of_host,
    new_manifest_name,
    parse_manifest_name,
)

T = "20260101120000"
MARK = "0123456789ab"
ids = st.sets(st.integers(-1, 200))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"gpbackup_0_{T}_16384.gz", 0),
        (f"gpbackup_12_{T}", 12),
        (f"gpbackup_12_{T}.zst", 12),
        (f"gpbackup_7_{T}_toc.yaml", 7),
        (f"gpbackup_{T}_toc.yaml", -1),
        (f"gpbackup_-1_{T}_1", -1),
        (f"gpbackup_01_{T}", -1),
        ("anything/else", -1),
    ],
)
def test_the_content_id_of_an_object_stands_in_its_name(name: str, content: int) -> None:
    assert content_of(name) == content
    assert content < 0 or name.startswith(key_start(content, T))


@given(ids)
def test_contents_are_read_as_they_were_written(contents: set[int]) -> None:
    assert set(parse_contents(format_contents(contents))) == contents


@pytest.mark.parametrize(
    "text", ["1-0", "0_0", "3_1", "-1-4", "-2", "01", "a", "1__2", "0-9999999", "0-999999_1000000"]
)
def test_other_texts_are_no_contents(text: str) -> None:
    with pytest.raises(ValueError, match="is not a range of content ids"):
        parse_contents(text)


@given(ids, st.integers(1, 60), st.integers(0, 1 << 32))
def test_each_object_belongs_to_one_share(contents: set[int], parts: int, crc: int) -> None:
    shares = [share_of(contents, (part, parts)) for part in range(parts)]
    for content in contents:
        takers = [share[content] for share in shares if content in share]
        assert sum(crc % of == place for place, of in takers) == 1
    most = max((len(share) for share in shares), default=0)
    assert most <= -(-len(contents) // parts)


@given(ids, st.integers(0, 10**9), st.integers(0, 10**15))
def test_a_manifests_name_shows_what_it_lists(contents: set[int], objects: int, size: int) -> None:
    name = new_manifest_name(contents, objects, size, MARK)
    assert len(name.removeprefix(FOLDER)) <= 255
    assert is_manifest(name)
    found = parse_manifest_name(name)
    assert found is not None
    assert found._replace(contents=None) == ManifestName(name_of_host(), MARK, None, objects, size)
    # Contents with many gaps don't fit, and stand in the manifest alone.
    assert found.contents is None if len(format_contents(contents)) > 180 else set(found.contents or ()) == contents
    assert listed_contents([name]) == set(found.contents or ())


def test_more_content_ids_than_any_host_has_stand_in_no_name() -> None:
    name = new_manifest_name(range(3000), 3000, 1, MARK)
    assert parse_manifest_name(name) == ManifestName(name_of_host(), MARK, None, 3000, 1)
    assert parse_manifest_name(name.replace(".ci.", ".c0-2999.")) is None


def test_the_name_of_a_host_of_a_thousand_is_short() -> None:
    assert len(new_manifest_name([-1, *range(7992, 8000)], 160_000, 10**13, MARK)) < 150


@pytest.mark.parametrize(
    "name",
    [
        f"{FOLDER}host.c1.{MARK}-012345.manifest.gz",
        f"{FOLDER}host.{MARK}-012345.manifest.gz",
    ],
)
def test_a_name_of_version_1_shows_host_and_mark_alone(name: str) -> None:
    found = parse_manifest_name(name)
    assert found is not None
    assert found[1:] == (MARK, None, None, None)
    assert name.startswith(f"{FOLDER}{found.host}.{MARK}")


@pytest.mark.parametrize(
    "name",
    [
        f"{FOLDER}host.{MARK}.manifest.gz",
        f"{FOLDER}host.{MARK}-012345.c1-0.1o.1b.manifest.gz",
        f"{FOLDER}host.{MARK}-012345.c0.1o.manifest.gz",
        f"{FOLDER}marks/host.{MARK}-012345.c0.1o.1b.manifest.gz",
        f"host.{MARK}-012345.c0.1o.1b.manifest.gz",
    ],
)
def test_other_names_show_nothing(name: str) -> None:
    assert parse_manifest_name(name) is None
