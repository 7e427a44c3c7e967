"""`doctor`: every step that a backup needs, tried for real, on this host or on many."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ... import __version__, private
from ...config.loading import required_replica
from .. import hosts, render
from ..arguments import Parser
from ..main import interruptible
from . import host, target
from .steps import Step, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Status 0 where all steps succeed, with warnings or without, 1 where one failed, 2 where it is the configuration,
    3 where the target is out of reach; of several hosts, 1 where one of them is not well or differs.
    """
    parser = Parser("doctor")
    parser.add_argument("--quick", action="store_true", help="measure no throughput")
    # What `--hosts` asks of each host: whether it sees the object KEY, which holds the text TOKEN.
    parser.add_argument("--sees", nargs=3, metavar=("HOST", "KEY", "TOKEN"), help=argparse.SUPPRESS)
    hosts.add_arguments(parser)
    parser.add_replica()
    parser.add_json()
    asked = parser.parse_args(arguments)
    path = os.path.abspath(asked.config)
    if asked.hosts is not None or asked.hostfile is not None:
        from .many_hosts import compare

        return compare(asked, path)
    return _on_this_host(path, asked)


def _on_this_host(path: str, asked: Any) -> int:
    from ...log import Log, take_over_library_logging

    steps = Steps(_ignore if asked.json else _show)
    with interruptible():
        config = host.look_at_the_configuration(steps, path)
        log = Log(verbosity=config.logger_verbosity) if config is not None else Log()
        take_over_library_logging(log, keep_streams=True)
        host.look_at_the_host(steps, config)
        if config is not None:
            wanted = required_replica(config) if asked.replica else config
            target.try_the_target(steps, wanted, quick=asked.quick, sees=asked.sees)
        else:
            steps.skip(target.all_steps(quick=asked.quick), "the configuration can't be used")
    if asked.json:
        render.as_json(
            {
                "host": private.host(),
                "version": __version__,
                "configuration": host.fingerprint(path),
                "result": steps.result,
                "steps": steps.answer,
            }
        )
    else:
        render.line("")
        render.line(_summary(steps))
    return steps.exit_status


def _show(step: Step) -> None:
    following = f"; {step.next}" if step.next else ""
    render.marked(step.status, f"{step.step:<20} {step.told}{following}")


def _ignore(_step: Step) -> None:
    pass


def _summary(steps: Steps) -> str:
    failed = [step.step for step in steps.all if step.status == "failed"]
    if failed:
        return f"Not ready for a backup: {', '.join(failed)} failed"
    warnings = sum(step.status == "warning" for step in steps.all)
    return "Ready for a backup" + (f", with {warnings} warning{'s' * (warnings > 1)}" if warnings else "")
