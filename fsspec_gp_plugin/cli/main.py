"""The commands for people: which is which, and how their failures are told."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from ..commands import PROGRAM, READ_OBJECT
from ..errors import PluginError
from ..redaction import in_one_line, scrub
from .interrupting import interrupt_by_keyboard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The module and function of each.
_FUNCTIONS = {
    "bench": ("bench.command", "main"),
    "cleanup": ("cleanup", "main"),
    "completion": ("completion", "main"),
    "deploy": ("deploy.command", "main"),
    "doctor": ("doctor.command", "main"),
    "encrypt-secret": ("encrypt", "main"),
    "info": ("backup_list", "info"),
    "init": ("init.command", "main"),
    "list": ("backup_list", "list_backups"),
    "metrics": ("metrics", "main"),
    READ_OBJECT: ("read_object", "main"),
    "prune": ("prune", "main"),
    "verify": ("verify", "main"),
}


def function_of(name: str) -> Callable[[Sequence[str]], int]:
    """What runs the command of that name; KeyError where it is none of this package."""
    module, function = _FUNCTIONS[name]
    found: Callable[[Sequence[str]], int] = getattr(import_module(f".{module}", __package__), function)
    return found


def main(argv: Sequence[str]) -> int:
    """Run one of them, its name first; returns the exit status."""
    interrupt_by_keyboard()
    try:
        status = function_of(argv[0])(argv[1:])
        sys.stdout.flush()  # the process ends without Python's own end
    except SystemExit as ended:  # --help
        sys.stdout.flush()
        return int(ended.code or 0)
    except PluginError as error:
        sys.stderr.write(in_one_line(scrub(f"{PROGRAM}: {argv[0]}: {error}")) + "\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        return 0  # whoever reads has what it needs
    return status
