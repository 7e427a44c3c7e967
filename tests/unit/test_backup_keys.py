"""To whom each object of a backup is encrypted."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.backup_keys import Recipients
from fsspec_gp_plugin.keys import backup_prefix
from tests.sealing import IDENTITY, OTHER_IDENTITY

T = "20260102030405"
DATA, FILES = IDENTITY.recipient, OTHER_IDENTITY.recipient


@pytest.mark.parametrize("end", ["toc.yaml", "metadata.sql", "report", "config.yaml", "plugin_config.yaml"])
def test_the_coordinators_files_are_for_the_metadata_recipients_too(end: str) -> None:
    assert Recipients((DATA,), (FILES,)).of(f"{backup_prefix(T)}gpbackup_{T}_{end}") == (DATA, FILES)


@pytest.mark.parametrize(
    "name",
    [
        f"gpbackup_0_{T}_16384.gz",
        f"gpbackup_0_{T}.zst",
        f"gpbackup_0_{T}_toc.yaml",
        # Its lines have the most frequent values of each column.
        f"gpbackup_{T}_statistics.sql",
        f"more/gpbackup_{T}_toc.yaml",
        "gpbackup_20260102030406_toc.yaml",
    ],
)
def test_what_may_hold_table_data_is_not(name: str) -> None:
    assert Recipients((DATA,), (FILES,)).of(backup_prefix(T) + name) == (DATA,)


def test_neither_is_an_object_that_belongs_to_no_backup() -> None:
    assert Recipients((DATA,), (FILES,)).of("elsewhere/toc.yaml") == (DATA,)
