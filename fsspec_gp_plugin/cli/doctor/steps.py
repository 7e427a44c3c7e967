"""Steps that are tried one after the other: how each ended, what was measured, and what to do where it failed."""

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
    """One step. `status`: ok, warning, failed or skipped; `told`: what was found; `next`: what to do, or "";
    `figures`: what was measured, under names that end in their unit.
    """

    step: str
    status: str = "ok"
    told: str = ""
    next: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)

    def warn(self, told: str, following: str = "") -> None:
        """Nothing fails by it, and yet it should be changed; after another warning it stands behind that."""
        self.told = f"{self.told}; {told}" if self.status == "warning" and self.told else told
        self.status, self.next = "warning", following or self.next

    def fail(self, told: str, following: str = "") -> None:
        """A backup would fail."""
        self.status, self.told, self.next = "failed", told, following

    def skip(self, why: str) -> None:
        """There is nothing to try."""
        self.status, self.told = "skipped", why


class Steps:
    """Those that were tried. The exit status is that of the worst of them."""

    def __init__(self, show: Callable[[Step], None]) -> None:
        """`show` is told each as soon as it has ended."""
        self.all: list[Step] = []
        self._show = show
        self._statuses: set[int] = set()

    @contextmanager
    def trying(self, name: str, following: Callable[[PluginError], str] | str = "") -> Iterator[Step]:
        """One step, ok unless what is done within says otherwise. An error of ours makes it failed and goes no further;
        `following` is then what to do, beside what the error says itself.
        """
        step = Step(name)
        started = time.monotonic()
        try:
            yield step
        except PluginError as error:
            self._statuses.add(2 if isinstance(error, ConfigError) else 3 if isinstance(error, Unreachable) else 1)
            step.fail(str(error), following if isinstance(following, str) else following(error))
        except Exception as error:  # noqa: BLE001 - a surprise in one step is no reason to leave out the others
            self._statuses.add(1)
            step.fail(f"unexpected {type(error).__name__}: {error}")
        else:
            if step.status == "failed":
                self._statuses.add(1)
        step.seconds = round(time.monotonic() - started, 3)
        step.told, step.next = scrub(step.told), scrub(step.next)
        self.all.append(step)
        self._show(step)

    def failed(self, name: str, error: PluginError) -> None:
        """A step that an error has ended already."""
        with self.trying(name):
            raise error

    def skip(self, names: list[str], why: str) -> None:
        """Those that can't be tried any more."""
        for name in names:
            with self.trying(name) as step:
                step.skip(why)

    @property
    def result(self) -> str:
        """The worst of them: ok, warning or failed."""
        found = {step.status for step in self.all}
        return next((status for status in ("failed", "warning") if status in found), "ok")

    @property
    def exit_status(self) -> int:
        """2 where the configuration is at fault, 3 where the target is out of reach, else 1 where a step failed."""
        return next((status for status in (2, 3, 1) if status in self._statuses), 0)

    @property
    def answer(self) -> list[dict[str, Any]]:
        """For programs."""
        return [asdict(step) for step in self.all]
