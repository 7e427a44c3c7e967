"""The steps of `doctor`: how each ended, what it measured, and what to do if it failed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, PluginError, Unreachable
from ...redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Step:
    """One step. `status`: ok, warning, failed or skipped; `next`: what to do, or "";
    `figures`: measurements, whose names end in their unit.
    """

    step: str
    status: str = "ok"
    finding: str = ""
    next: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)

    def warn(self, finding: str, advice: str = "") -> None:
        """Add a warning: backups work, but something should be changed."""
        self.finding = f"{self.finding}; {finding}" if self.status == "warning" and self.finding else finding
        self.status, self.next = "warning", advice or self.next

    def fail(self, finding: str, advice: str = "") -> None:
        """Mark the step as failed: a backup would fail, too."""
        self.status, self.finding, self.next = "failed", finding, advice

    def skip(self, why: str) -> None:
        """Mark the step as skipped."""
        self.status, self.finding = "skipped", why


class Steps:
    """All steps so far; the worst of them decides the exit status."""

    def __init__(self, show: Callable[[Step], None]) -> None:
        """`show` gets each step as soon as it has ended."""
        self.all: list[Step] = []
        self._show = show
        self._statuses: set[int] = set()

    @contextmanager
    def trying(self, name: str, advice: Callable[[PluginError], str] | str = "") -> Iterator[Step]:
        """Run one step, which is ok unless the block says otherwise. An error makes it failed and is not raised again;
        `advice` is then what to do, in addition to the error's own message.
        """
        step = Step(name)
        started = time.monotonic()
        try:
            yield step
        except PluginError as error:
            self._statuses.add(2 if isinstance(error, ConfigError) else 3 if isinstance(error, Unreachable) else 1)
            step.fail(str(error), advice if isinstance(advice, str) else advice(error))
        except Exception as error:  # noqa: BLE001 - an unexpected error must not prevent the other steps
            self._statuses.add(1)
            step.fail(f"unexpected {type(error).__name__}: {error}")
        else:
            if step.status == "failed":
                self._statuses.add(1)
        step.seconds = round(time.monotonic() - started, 3)
        step.finding, step.next = scrub(step.finding), scrub(step.next)
        self.all.append(step)
        self._show(step)

    def failed(self, name: str, error: PluginError) -> None:
        """Add a step that failed with an error."""
        with self.trying(name):
            raise error

    def skip(self, names: list[str], why: str) -> None:
        """Add steps that can't be tried."""
        for name in names:
            with self.trying(name) as step:
                step.skip(why)

    @property
    def result(self) -> str:
        """The worst status: ok, warning or failed."""
        statuses = {step.status for step in self.all}
        return next((status for status in ("failed", "warning") if status in statuses), "ok")

    @property
    def exit_status(self) -> int:
        """2 if the configuration is wrong, 3 if the target is out of reach, else 1 if a step failed, else 0."""
        return next((status for status in (2, 3, 1) if status in self._statuses), 0)

    @property
    def answer(self) -> list[dict[str, Any]]:
        """The steps as JSON."""
        return [
            {"told" if name == "finding" else name: value for name, value in asdict(step).items()} for step in self.all
        ]
