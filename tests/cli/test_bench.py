"""`bench`: what it measures, what it recommends, and that nothing stays."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

NAMES = {"url", "streams", "stream_bytes", "backup", "restore", "tables", "settings", "recommended", "judged", "left"}
RATES = {"bytes_per_second", "seconds", "cpu_seconds", "cpu_seconds_per_gb"}
TIMES = {"median_seconds", "p95_seconds", "longest_seconds"}


def test_a_target_is_measured(plugin: Plugin, target: Target) -> None:
    done = plugin.run("bench", "--size", "16MB", "--streams", "2", "--tables", "5", "--seconds", "6", "--json")
    assert (done.status, done.err) == (0, "")
    answer = json.loads(done.out)
    assert set(answer) == NAMES
    assert (answer["url"], answer["streams"], answer["stream_bytes"], answer["left"]) == (target.url, 2, 16 << 20, [])
    for way in ("backup", "restore"):
        assert set(answer[way]) == RATES
        assert answer[way]["bytes_per_second"] > 0
        assert set(answer["tables"][way]) == TIMES
        tried = answer["settings"][way]["tried"]
        if target.kind == "file":
            assert tried == []
            assert "on a disk the kernel copies" in answer["settings"][way]["why"]
        else:
            assert (tried[0]["chunk_bytes"], tried[0]["requests"]) == (5 << 20, 4)  # the present ones
            assert len(tried) > 3
            # On a busy machine there may be no time for them, which is then the reason.
            assert sum(one["runs"] for one in tried) > 0 or answer["settings"][way]["why"]
        named = any(name.startswith(f"{way}_") for name in answer["recommended"])
        assert named == (answer["settings"][way]["why"] == "")  # or it is said why there is nothing to recommend
    assert target.keys() == []


def test_people_get_tables(local: Plugin) -> None:
    out = local.run("bench", "--size", "1MB", "--tables", "2").succeeded().out.decode()
    assert "backup, 1 stream of 1.0 MB" in out
    assert "restore, 2 tables of 4 KB" in out
    assert "these settings make no difference" in out
    assert "\x1b" not in out


def test_a_signal_leaves_nothing_behind(plugin: Plugin, target: Target) -> None:
    # Either way on one of the targets: both lead to the same end.
    number = signal.SIGINT if target.kind == "s3" else signal.SIGTERM
    process = plugin.start("bench", "--streams", "3")
    target.wait_for_upload(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert target.keys() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--size", "much"], "expected a size such as 8MB"),
        (["--size", "1KB"], "expected a size from 1MB to 64GB"),
        (["--streams", "0"], "expected a whole number from 1 to 64"),
    ],
)
def test_a_wrong_call_is_one_line(local: Plugin, words: list[str], told: str) -> None:
    local.run("bench", *words).failed(told, status=2)
