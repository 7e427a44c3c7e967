"""`cleanup`: what backups that did not come to their end have left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.keys import backup_prefix, unfinished_key
from fsspec_gp_plugin.storage.open import open_store
from tests.cli.arranged import A_WHILE, DAY, aged, ago, asked, put_backup

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

WHOLE, KILLED, FAILED = ago(42), ago(41), ago(40)


def by_place(told: list[dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
    return {one["prefix"]: (f"{one['state']} {one['what']}".strip(), one["action"], one["why"]) for one in told}


def test_leftovers_are_told_and_with_yes_removed(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    store = open_store(target.url, target.options)
    running = ago(1, -A_WHILE)
    put_backup(store, WHOLE)
    put_backup(store, KILLED, without=["toc.yaml", "report"])
    put_backup(store, FAILED, status="Failure")
    orphan = backup_prefix(WHOLE) + "gpbackup_0_orphan"
    store.begin(orphan).write(1, memoryview(b"of a process that was killed"))
    aged(tmp_path / "target", DAY + A_WHILE)
    put_backup(store, running, without=["report"])
    aged(tmp_path / "target" / backup_prefix(running), DAY - A_WHILE)
    before = target.keys()
    expected = {
        backup_prefix(WHOLE): ("working files", "delete", "nobody completed them"),
        backup_prefix(KILLED): ("incomplete backup", "delete", "gpbackup did not come to its end"),
        backup_prefix(FAILED): ("failed backup", "delete", "gpbackup's report calls it failed"),
        backup_prefix(running): ("incomplete backup", "keep", "may still run"),
    }
    if target.kind == "s3":  # where all of it has just been written
        expected[backup_prefix(WHOLE)] = ("uploads", "keep", "may still run")
        expected[backup_prefix(KILLED)] = ("incomplete backup", "keep", "may still run")
        expected[backup_prefix(FAILED)] = ("failed backup", "keep", "too young")
    told = asked(plugin, "cleanup")
    assert by_place(told["leftovers"]) == expected
    assert (told["done"], target.keys()) == (False, before)
    done = asked(plugin, "cleanup", "--older-than", "0s", "--yes")
    assert {one["action"] for one in done["leftovers"]} == {"deleted"}
    after = target.keys()
    assert {key.split("/")[2] for key in after} == {WHOLE}
    assert not any("orphan" in key for key in after)
    assert plugin.run("cleanup").succeeded().out.decode() == f"There is nothing to clean up at {target.url}\n"
    store.close()


def test_what_an_incremental_backup_needs_stays(local: Plugin, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/disk", {})
    put_backup(store, KILLED, without=["report"])
    put_backup(store, FAILED, needs=[KILLED])
    aged(tmp_path / "disk")
    [one] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (one["action"], one["why"]) == ("keep", f"{FAILED}, an incremental backup, needs it")
    store.delete([f"{backup_prefix(FAILED)}gpbackup_{FAILED}_config.yaml"])
    [one] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (one["action"], one["why"]) == ("keep", f"nothing tells whether {FAILED} needs it")
    store.delete([f"{backup_prefix(KILLED)}gpbackup_{KILLED}_toc.yaml"])
    [one] = asked(local, "cleanup", "--yes")["leftovers"]
    assert one["action"] == "deleted"


def test_what_was_just_written_belongs_to_a_backup_that_runs(local: Plugin, tmp_path: Path) -> None:
    """However long ago it was begun."""
    put_backup(open_store(f"file://{tmp_path}/disk", {}), KILLED, without=["report"])
    aged(tmp_path / "disk")
    [one] = asked(local, "cleanup")["leftovers"]
    assert (one["action"], one["age_seconds"] // 86400) == ("delete", 30)
    (tmp_path / "disk" / unfinished_key(f"{backup_prefix(KILLED)}table", "0123456789ab")).write_text("x")
    [one] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (one["action"], one["why"]) == ("keep", "may still run")


def test_what_has_no_age_stays(local: Plugin, tmp_path: Path) -> None:
    (tmp_path / "disk" / unfinished_key("not_of_a_backup", "0123456789ab")).write_text("x")
    put_backup(open_store(f"file://{tmp_path}/disk", {}), "20269999999999", without=["toc.yaml"])
    [one] = asked(local, "cleanup", "--older-than", "0s", "--yes")["leftovers"]
    assert (one["action"], one["why"]) == ("keep", "nothing tells its age")


@pytest.mark.parametrize("age", ["6m", "30", "d", "1.2.3d", "-1d"])
def test_an_age_has_a_unit_that_is_no_riddle(local: Plugin, age: str) -> None:
    local.run("cleanup", f"--older-than={age}").failed("is no age", status=2)
