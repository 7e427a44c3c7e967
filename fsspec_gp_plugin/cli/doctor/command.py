"""`doctor`: tries every step of a backup, on this host or on many."""

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


def main(argv: Sequence[str]) -> int:
    """Try all steps; returns 0 if none failed, 1 if one did, 2 if the configuration is wrong, 3 if the target is out of
    reach. For several hosts: 1 if a step failed on one of them, or if one differs from this host.
    """
    parser = Parser("doctor")
    parser.add_argument("--quick", action="store_true", help="skip the measurement of throughput")
    # `--hosts` passes this to each host, which must find the object KEY with the content TOKEN.
    parser.add_argument("--sees", nargs=3, metavar=("HOST", "KEY", "TOKEN"), help=argparse.SUPPRESS)
    hosts.add_arguments(parser)
    parser.add_replica()
    parser.add_json()
    arguments = parser.parse_args(argv)
    path = os.path.abspath(arguments.config)
    if arguments.hosts is not None or arguments.hostfile is not None:
        from .many_hosts import compare

        return compare(arguments, path)
    return _on_this_host(path, arguments)


def _on_this_host(path: str, arguments: Any) -> int:
    from ...log import Log, take_over_library_logging

    steps = Steps(_ignore if arguments.json else _show)
    with interruptible():
        config = host.look_at_the_configuration(steps, path)
        log = Log(verbosity=config.logger_verbosity) if config is not None else Log()
        take_over_library_logging(log, keep_streams=True)
        host.look_at_the_host(steps, config)
        if config is not None:
            checked = required_replica(config) if arguments.replica else config
            target.try_the_target(steps, checked, quick=arguments.quick, sees=arguments.sees)
        else:
            steps.skip(target.all_steps(quick=arguments.quick), "the configuration is not usable")
    if arguments.json:
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
    advice = f"; {step.next}" if step.next else ""
    render.marked(step.status, f"{step.step:<20} {step.finding}{advice}")


def _ignore(_step: Step) -> None:
    pass


def _summary(steps: Steps) -> str:
    failed = [step.step for step in steps.all if step.status == "failed"]
    if failed:
        return f"Not ready for a backup: {', '.join(failed)} failed"
    warnings = sum(step.status == "warning" for step in steps.all)
    return "Ready for a backup" + (f", with {warnings} warning{'s' * (warnings > 1)}" if warnings else "")
