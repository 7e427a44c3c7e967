"""`bench`: measures the target with the real engine, and recommends settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...backups.deletion import delete_all
from ...backups.probing import unique_name
from ...backups.tuning import HOW
from ...config.values import parse_size
from ...errors import PluginError
from .. import render
from ..arguments import Parser
from ..main import interruptible
from ..open_target import open_target
from .measuring import Bench
from .report import as_mapping, show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


FOLDER = "fsspec_gp_plugin_bench/"


def main(argv: Sequence[str]) -> int:
    """Measure, print the results, and delete what was written; returns 0."""
    parser = Parser("bench")
    parser.add_argument(
        "--size", metavar="SIZE", type=_size, default=256 << 20, help="size of a stream (default: 256MB)"
    )
    parser.add_argument(
        "--streams", metavar="N", type=_from_one_to(64), default=1, help="streams in parallel (default: 1)"
    )
    parser.add_argument(
        "--tables", metavar="N", type=_from_one_to(10_000), default=100, help="number of small tables (default: 100)"
    )
    parser.add_argument(
        "--seconds", metavar="N", type=_from_one_to(3600), default=110, help="approximate duration (default: 110)"
    )
    parser.add_json()
    arguments = parser.parse_args(argv)
    left: list[str] = []
    with interruptible(), open_target(arguments.config) as (config, store), render.status() as report_status:
        prefix = f"{FOLDER}{unique_name('.')}/"
        bench = Bench(config, store, prefix, arguments, left.append)
        try:
            bench.run(report_status)
        finally:
            report_status("deleting the test objects")
            try:
                delete_all(store, prefix, left.append)
            except PluginError as error:
                left.append(f"the test objects below {prefix} could not be deleted: {error}")
            bench.close()
    if arguments.json:
        render.as_json({**as_mapping(bench), "judged": HOW, "left": left})
    else:
        show(bench)
        for note in left:
            render.line(note)
    return 0


def _size(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 1 << 20 <= size <= 64 << 30:
        raise argparse.ArgumentTypeError("expected a size from 1MB to 64GB")
    return size


def _from_one_to(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {most}")
        return int(text)

    return parse
