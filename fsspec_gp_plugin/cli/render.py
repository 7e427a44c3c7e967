"""How answers look: tables and progress in a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# In a pipe no line is broken, however long it is.
_WIDE = 4096


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in `right` are numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _WIDE, highlight=False, soft_wrap=not terminal)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, justify="right" if column in right else "left", no_wrap=True, overflow="fold")
    for row in rows:
        # Not as markup: a name from the storage may hold anything.
        shown.add_row(*(Text(_printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    console.print(shown)


_STYLES = {
    "complete": "green",
    "differs": "yellow",
    "failed": "red",
    "incomplete": "yellow",
    "ok": "green",
    "skipped": "dim",
    "warning": "yellow",
}


def marked(mark: str, text: str) -> None:
    """Print a line that begins with a mark, which is coloured in a terminal, as soon as it is known."""
    from rich.console import Console
    from rich.text import Text

    shown = Text(f"{_printable(mark):<8} ", style=_STYLES.get(mark, ""))
    shown.append(_printable(text), style="default")
    Console(highlight=False, soft_wrap=True).print(shown)
    sys.stdout.flush()


def line(text: str) -> None:
    """Print a line."""
    sys.stdout.write(_printable(text) + "\n")


def as_json(answer: Any) -> None:
    """Print an answer for programs."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=True) + "\n")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are done, with rate and time left, on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Show what is under way in one line on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as shown:
        yield lambda text: shown.update(_printable(text))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
