"""The commands for people: which is which, and how their failures are told."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from ..commands import PROGRAM
from ..errors import PluginError
from ..redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Sequence

# The module and function of each.
_FUNCTIONS = {
    "bench": ("bench", "main"),
    "doctor": ("doctor", "main"),
    "encrypt-secret": ("encrypt", "main"),
    "info": ("listing", "info"),
    "list": ("listing", "list_backups"),
    "verify": ("verify", "main"),
}


def main(argv: Sequence[str]) -> int:
    """Run one of them, its name first; returns the exit status."""
    try:
        module, function = _FUNCTIONS[argv[0]]
        status: int = getattr(import_module(f".{module}", __package__), function)(argv[1:])
        sys.stdout.flush()  # the process ends without Python's own end
    except SystemExit as ended:  # --help
        sys.stdout.flush()
        return int(ended.code or 0)
    except PluginError as error:
        sys.stderr.write(scrub(f"{PROGRAM}: {argv[0]}: {error}") + "\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        return 0  # whoever reads has what it needs
    return status
