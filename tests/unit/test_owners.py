"""Whose backups are, by their claims."""

from __future__ import annotations

from fsspec_gp_plugin.backups.survey import Backup
from fsspec_gp_plugin.integrity import claim
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.api import ObjectInfo

T = "20260102030405"


def test_claims_and_marks_are_signs_of_life_and_no_objects_of_the_backup() -> None:
    backup = Backup(T)
    for name, modified in (
        (claim.NAME, 1.0),
        (f"fsspec_gp_plugin/claim.{'a' * 32}.json", 2.0),
        ("fsspec_gp_plugin/sdw1.example.0123456789ab.mark", 3.0),
    ):
        backup.count(ObjectInfo(backup_prefix(T) + name, 100, modified=modified))
    assert (backup.objects, backup.size, backup.written, backup.state) == (0, 0, 3.0, "incomplete")
    assert [info.modified for info in backup.claims] == [1.0, 2.0]
    assert backup.marks == [("sdw1.example", "0123456789ab")]
