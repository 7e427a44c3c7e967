"""The benchmark of a whole run works, for ours and for another plugin beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = ["disk", "--tables", "2", "--size", "64K", "--runs", "1", "--segments", "1", "--jobs", "2"]


@pytest.mark.parametrize("more", [["--hooks"], ["--single-data-file", "--through", "cat", "--nice", "0"]])
def test_a_whole_run_is_measured_on_a_disk_beside_another_plugin(tmp_path: Path, more: list[str]) -> None:
    config = write_config(tmp_path / "other.yaml", f"file://{tmp_path}/other", {}, agent="off")
    # As some do, it tells on standard output what it has done.
    other = tmp_path / "talking"
    other.write_text(f'#!/bin/sh\n[ "$1" = restore_data ] || echo "$1"\nexec "{EXECUTABLE}" "$@"\n')
    other.chmod(0o755)
    figures = tmp_path / "figures.json"
    line = [sys.executable, "-m", "benchmarks.run", *SMALL, *more, "--folder", str(tmp_path), "--json", str(figures)]
    line += ["--beside", str(other), "--beside-config", str(config)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = figures.read_text()
    for phase in ("hooks of the backup", "data up", "whole backup", "data down", "whole restore"):
        assert f"{phase}: disk, 1 segments" in done.stdout
        assert phase in told
    assert ("setup_plugin_for_backup segment_host:" in done.stdout) == ("--hooks" in more)
    assert list(tmp_path.glob("fsspec_gp_plugin-bench-*")) == []
