"""Prints answers: tables and progress in a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ..config.values import format_size
from ..redaction import in_one_line, scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import IO

    from ..backups.ownership import Ownership
    from ..integrity.cluster import Cluster

# In a pipe, lines are never broken.
_WIDE = 4096
# The narrowest width of a wrapped column.
_NARROWEST = 24


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    wrapped: str = "",
    file: IO[str] | None = None,
) -> None:
    """Print a table, or write it to a file; columns named in `right` are numbers, and the one that `wrapped` names may
    take several lines.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(file=file, width=None if terminal else _WIDE, highlight=False, soft_wrap=not terminal)
    if terminal and wrapped:
        # Other columns are never shortened: a narrower terminal breaks the lines itself.
        widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
        needed = sum(width + 2 for name, width in zip(columns, widths, strict=True) if name != wrapped)
        console.width = max(console.width, needed + _NARROWEST)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        shown.add_column(column, justify=justify, no_wrap=column != wrapped, overflow="fold")
    for row in rows:
        # Not as markup: a name from the storage may contain anything.
        shown.add_row(*(Text(_printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    console.print(shown)


_STYLES = {
    "complete": "green",
    "delete": "yellow",
    "deleted": "green",
    "differs": "yellow",
    "failed": "red",
    "incomplete": "yellow",
    "ok": "green",
    "skipped": "dim",
    "unknown": "yellow",
    "warning": "yellow",
}


def marked(mark: str, text: str) -> None:
    """Print a line at once; it begins with a mark, which is coloured in a terminal."""
    from rich.console import Console
    from rich.text import Text

    shown = Text(f"{_printable(mark):<8} ", style=_STYLES.get(mark, ""))
    shown.append(_printable(text), style="default")
    Console(highlight=False, soft_wrap=True).print(shown)
    sys.stdout.flush()


def line(text: str) -> None:
    """Print a line."""
    sys.stdout.write(_printable(text) + "\n")


def text(lines: str) -> None:
    """Print text unchanged; it must not come from outside this program."""
    sys.stdout.write(lines)


def as_json(answer: Any) -> None:
    """Print an answer as JSON."""
    sys.stdout.write(json_of(answer))


def json_of(answer: Any) -> str:
    """An answer as JSON, without secrets."""
    return scrub(json.dumps(answer, indent=2, ensure_ascii=True)) + "\n"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress in bytes, rate and time left on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Show what is being done in one line on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as shown:
        yield lambda text: shown.update(_printable(text))


def _printable(text: str) -> str:
    return in_one_line(scrub(text)).encode(errors="replace").decode()


def size_text(size: int, *, counted: bool) -> str:
    """Bytes in a table. `counted`: these are all bytes; otherwise there are more."""
    return format_size(size) + ("" if counted else "+")


def cluster_fields(ownership: Ownership) -> dict[str, Any]:
    """In JSON: the cluster by the claim, null where none is known, and how many claims there are; more than one is an
    error.
    """
    claim = ownership.claim
    return {"cluster": claim and claim.cluster.to_json(), "claims": len(ownership.claims)}


def shown(ownership: Ownership) -> str:
    """In a table."""
    if ownership.problem:
        return "two"
    return "?" if ownership.unreadable else "none" if ownership.claim is None else short(ownership.claim.cluster)


def short(cluster: Cluster) -> str:
    """Return the cluster's name, or the place of its coordinator."""
    return cluster.name or f"{cluster.host or '?'}{cluster.port and f':{cluster.port}'}"


def are_several(ownerships: Iterable[Ownership]) -> bool:
    """Whether backups of more than one cluster are there; one without a claim may be of any."""
    clusters = {one.claim.cluster.group for one in ownerships if one.claim is not None}
    return len(clusters) > 1


def label(ownership: Ownership) -> str:
    """What tells a cluster from others, for programs: its name, or its coordinator's host and directory; "" where
    nothing tells.
    """
    if ownership.claim is None:
        return ""
    cluster = ownership.claim.cluster
    return cluster.name or f"{cluster.host}:{cluster.directory}".strip(":")
