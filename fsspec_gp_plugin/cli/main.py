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

_MODULES = {"encrypt-secret": "encrypt"}


def main(argv: Sequence[str]) -> int:
    """Run one of them, its name first; returns the exit status."""
    try:
        status: int = import_module(f".{_MODULES[argv[0]]}", __package__).main(argv[1:])
        sys.stdout.flush()  # the process ends without Python's own end
    except PluginError as error:
        sys.stderr.write(scrub(f"{PROGRAM}: {argv[0]}: {error}") + "\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        return 0  # whoever reads has what it needs
    return status
