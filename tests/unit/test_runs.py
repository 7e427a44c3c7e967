"""What a whole run is judged by, beside its tests: on runs of a few made-up tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]


class Run(Protocol):
    """Runs tests, and tells the exit status and what was printed."""

    def __call__(self, text: str, *, required: str = "") -> tuple[int, str]: ...


# Each fails at its first run and passes at its second.
FLAKY = """
import pathlib, pytest
{marker}
@pytest.mark.parametrize("number", range({count}))
def test_flaky(number):
    seen = pathlib.Path(__file__).with_name(f"seen-{{number}}")
    if not seen.exists():
        seen.touch()
        raise AssertionError("at first")
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def ran(text: str, *, required: str = "") -> tuple[int, str]:
        (tmp_path / "test_made_up.py").write_text(text)
        monkeypatch.setenv("GP_PLUGIN_REQUIRE", required)
        command = [sys.executable, "-m", "pytest", "-p", "tests.runs", "-c", "/dev/null", "--rootdir", str(tmp_path)]
        done = subprocess.run(
            [*command, "-q", "-p", "no:cacheprovider", "-W", "ignore", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return ran


def test_only_tests_that_count_seconds_are_repeated(run: Run) -> None:
    status, out = run(FLAKY.format(marker="", count=1))
    assert (status, "1 failed" in out, "repeated" in out) == (1, True, False)


def test_more_than_three_repeated_tests_fail_the_run_and_are_named(run: Run) -> None:
    status, out = run(FLAKY.format(marker="@pytest.mark.alone", count=4))
    assert (status, "4 passed" in out) == (1, True)
    assert out.count("repeated, as it failed at first: test_made_up.py::test_flaky[") == 4
    assert "THE RUN FAILS: 4 tests had to be repeated; at most 3 may" in out


def test_three_repeated_tests_and_those_that_do_not_apply_are_no_failure(run: Run) -> None:
    text = FLAKY.format(marker="@pytest.mark.alone", count=3)
    text += "\ndef test_skipped():\n    pytest.skip('does not apply: it has no versions')\n"
    status, out = run(text, required="all")
    assert (status, "THE RUN FAILS" in out) == (0, False), out
    [cost] = [line for line in out.splitlines() if line.endswith(" CPU seconds")]
    assert int(cost.split()[0]) < 60


def test_where_everything_is_required_a_skipped_test_fails_the_run(run: Run) -> None:
    status, out = run("import pytest\ndef test_skipped():\n    pytest.skip('no such server')\n", required="all")
    assert status == 1
    assert "THE RUN FAILS: a test was skipped where everything is required: test_made_up.py::test_skipped" in out
