"""From which difference of the clocks on `doctor` warns, and from which on it fails."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.cli.doctor.steps import Steps
from fsspec_gp_plugin.cli.doctor.target import _compare_clocks


@pytest.mark.parametrize("sign", [1, -1], ids=["behind", "ahead of"])
@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (59.9, "ok"), (60, "warning"), (899.9, "warning"), (900, "failed"), (7200, "failed")],
)
def test_clocks_may_differ_by_a_minute_and_must_not_by_a_quarter_of_an_hour(
    seconds: float, status: str, sign: int
) -> None:
    steps = Steps(lambda _: None)
    with steps.trying("clock") as step:
        _compare_clocks(step, sign * seconds)
    assert step.status == status
    assert step.figures == {"offset_seconds": round(sign * seconds)}
    told = "as the store's" if not seconds else f"{seconds:.0f} s {'behind' if sign > 0 else 'ahead of'} the store's"
    assert told in step.finding
