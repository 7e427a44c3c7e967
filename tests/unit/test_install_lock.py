"""scripts/install_lock.py shows how far pip is, and fails as pip does."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from scripts.install_lock import Progress, main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_progress_is_what_pip_has_fetched_and_then_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    (tmp_path / "pip-23.dist-info").mkdir()
    progress = Progress()
    assert str(progress) == "fetched 0 packages"
    progress.follow(StringIO("Collecting a==1\n  Using cached a-1.whl\nCollecting b==1\n  Downloading b-1.whl\n"))
    assert str(progress) == "fetched 2 packages"
    progress.follow(StringIO("Installing collected packages: a, b\n"))
    assert str(progress) == "installed 0 of 2 packages"
    (tmp_path / "a-1.dist-info").mkdir()
    assert str(progress) == "installed 1 of 2 packages"


def test_what_pip_refuses_is_a_failure_with_its_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "missing.txt"
    assert main(str(lock)) == 1
    told = capfd.readouterr()
    assert told.out == f"Installing {lock}\n"
    assert "Could not open requirements file" in told.err
