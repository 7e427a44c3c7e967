"""A table of what each step costs, in Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.bench import machine

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.scale.costs import Cost

_COLUMNS = ("step", "requests", "MB received", "CPU s", "peak MB", "wall s", "requests by kind")


class Report:
    """Prints the cost of each step as it is known, and keeps a file of all of them."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._costs: list[dict[str, Any]] = []
        self._told: dict[str, Any] = {}
        self.has_failed = False

    def begin(self, title: str, told: dict[str, Any]) -> None:
        """Begin a table. `told`: what the file says about each of its lines."""
        self._told = told
        print(f"\n{title}\n\n| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)

    def add(self, cost: Cost) -> None:
        """Add a line to the table."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(cost.requests.items()))
        kinds += f"; {cost.refused} refused" if cost.refused else ""
        figures = f"{cost.count:,} | {cost.sent / 1e6:.1f} | {cost.cpu:.2f} | {cost.memory / 1e6:.0f} | {cost.wall:.2f}"
        print(f"| {cost.name} | {figures} | {cost.failed or kinds} |", flush=True)
        self.has_failed = self.has_failed or bool(cost.failed)
        self._costs.append({**self._told, **asdict(cost)})
        if self._file is not None:
            self._file.write_text(json.dumps({"machine": machine(), "costs": self._costs}, indent=1) + "\n")
