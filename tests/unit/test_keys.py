"""Object keys."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin import keys
from fsspec_gp_plugin.errors import UsageError

TAIL = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"


@pytest.mark.parametrize("before", ["/", "/data/gpseg0/", "/data/primary//gpseg-1/", "/dir/prefix7/", "relative/"])
def test_only_the_last_four_parts_of_a_path_count(before: str) -> None:
    assert keys.object_key(before + TAIL) == TAIL


@pytest.mark.parametrize(
    "path", ["", "/", "/a/b/c", "file", "/x/backups/20260101/20260101120000/", "/a/b/../c/d", "/a/b/c/.."]
)
def test_what_is_no_backup_file_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not the path of a backup file"):
        keys.object_key(path)


@pytest.mark.parametrize(
    "folder", ["a/b/c", "backups/20260101/20260102120000", "backup/20260101/20260101120000", "backups/x/20260101120000"]
)
def test_a_file_that_delete_backup_would_not_find_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="not the path of a backup file"):
        keys.object_key(f"/data/{folder}/file")
    with pytest.raises(UsageError, match="not a backup's directory"):
        keys.backup_of_directory(f"/data/{folder}")


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "2026010203040",
        "202601020304051",
        "20260102",
        "*",
        "..",
        "/",
        "2026010203040x",
        "20260102030405/",
        "٢٠٢٦٠١٠٢٠٣٠٤٠٥",
    ],
)
def test_a_timestamp_is_14_digits_and_nothing_else(timestamp: str) -> None:
    with pytest.raises(UsageError, match="not a backup's timestamp"):
        keys.backup_prefix(timestamp)


def test_every_prefix_ends_in_a_slash() -> None:
    assert keys.backup_prefix("20260101120000") == "backups/20260101/20260101120000/"
    assert keys.backup_of_directory("/d/backups/20260101/20260101120000") == (
        "backups/20260101/20260101120000/",
        "20260101120000",
    )
    assert keys.backup_of_directory("/d/backups/20260101/20260101120000/")[1] == "20260101120000"
    assert keys.directory_prefix("/some/dir") == "some/dir/"


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("", ""),
        ("/", ""),
        (".", ""),
        ("/var/lib/app/backups", "var/lib/app/backups/"),
        ("/data/gpseg-1/backups/20260101", "data/gpseg-1/backups/20260101/"),
        ("backups/20260101", "backups/20260101/"),
        ("/data/gpseg-1/backups/20260101/20260101120000/", "backups/20260101/20260101120000/"),
        ("/data/mybackups", "data/mybackups/"),
        ("/backups/other", "backups/other/"),
        ("etc//greenplum/./x", "etc/greenplum/x/"),
    ],
)
def test_directories(path: str, prefix: str) -> None:
    assert keys.directory_prefix(path) == prefix


@pytest.mark.parametrize("key", [TAIL, "top", "/top", "a/" + "n" * 250, "a/naïve" + "é" * 120])
def test_working_names_are_hidden_in_the_same_directory_and_told_from_objects(key: str) -> None:
    working = keys.unfinished_key(key, "0123456789ab")
    assert keys.is_unfinished(working)
    assert not keys.is_unfinished(key)
    assert working.rpartition("/")[0] == key.rpartition("/")[0]
    assert working.rpartition("/")[2].startswith(".")
    assert len(working.rpartition("/")[2].encode()) <= 255


@pytest.mark.parametrize(
    "key", [".hidden", "a/.b.part", "a/file.part", "a/.x.0123456789AB.part", "a/.x.0123456789ab.part/b"]
)
def test_names_that_only_look_alike_are_objects(key: str) -> None:
    assert not keys.is_unfinished(key)
