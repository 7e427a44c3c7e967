"""Which gpbackup called a command, and whether it has ended: told by the kernel alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.gpbackup_process import GpbackupProcess, gpbackup_above

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def child_of(program: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A shell under that name, which has a child; yields the shell and the child's process id."""
    shutil.copy("/bin/sh", program)
    with subprocess.Popen(
        [str(program), "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        try:
            yield shell, pid
        finally:
            for each in (pid, shell.pid):
                try:
                    os.kill(each, 9)
                except ProcessLookupError:
                    continue


@pytest.mark.parametrize("name", ["gpbackup", "gprestore"])
def test_the_nearest_ancestor_of_that_name_counts_until_it_has_ended(tmp_path: Path, name: str) -> None:
    with child_of(tmp_path / name) as (shell, pid):
        found = gpbackup_above(pid)
        assert found is not None
        assert found.pid == shell.pid
        assert not found.has_ended()
        assert found.is_running()
        assert GpbackupProcess.from_json(found.to_json()) == found
        assert found._replace(started=found.started + 1).has_ended(), "another process has its id now"
        assert not found._replace(boot="another").has_ended(), "it may be another host of the same name"
        assert not found._replace(namespace="pid:[1]").has_ended()
        shell.kill()
        shell.wait()
        assert found.has_ended()
        assert not found.is_running()


def test_without_such_an_ancestor_nothing_is_known(tmp_path: Path) -> None:
    with child_of(tmp_path / "gpbackup_helper") as (_, pid):
        assert gpbackup_above(pid) is None
    assert gpbackup_above(os.getpid()) is None


@pytest.mark.parametrize("value", [None, 1, {}, {"pid": "1", "started": 2, "boot": "", "namespace": ""}, {"pid": 1}])
def test_what_is_no_process_is_none(value: object) -> None:
    assert GpbackupProcess.from_json(value) is None


def test_names_of_processes_may_hold_anything(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    with child_of(program) as (_, pid):
        assert gpbackup_above(pid) is None


def test_a_process_that_proc_hides_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc is mounted with hidepid, and gpbackup is another user's."""
    with child_of(tmp_path / "gpbackup") as (shell, pid):
        found = gpbackup_above(pid)
        assert found is not None
        monkeypatch.setattr("fsspec_gp_plugin.gpbackup_process._stat", lambda _: None)
        assert not found.has_ended()
        assert not found.is_running()
        shell.kill()
        shell.wait()
        assert found.has_ended()
