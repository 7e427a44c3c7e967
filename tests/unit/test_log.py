"""The log of a process that lives for days."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

from fsspec_gp_plugin import log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_day_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = iter(["20260101", "20260101:23:59:59", "20260102:00:00:00", "20260102:00:00:01"])
    monkeypatch.setattr(log, "time", SimpleNamespace(strftime=lambda _: next(days)))
    written = log.Log(str(tmp_path))
    fd = written.fd
    for text in ("first", "second", "third"):
        written.info(text)
    assert written.fd == fd  # other threads may be writing
    assert fd is not None
    assert not os.get_inheritable(fd)
    written.close()
    first, second = sorted(tmp_path.iterdir())
    assert (first.name, second.name) == ("fsspec_gp_plugin_20260101.log", "fsspec_gp_plugin_20260102.log")
    assert [line.rpartition("-")[2] for line in first.read_text().splitlines()] == ["first"]
    assert [line.rpartition("-")[2] for line in second.read_text().splitlines()] == ["second", "third"]
