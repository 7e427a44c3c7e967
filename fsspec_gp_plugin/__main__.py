"""`python -m fsspec_gp_plugin`, which the launcher in bin/ runs."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Python's own way with Ctrl-C is a traceback; until our way is set up, it just ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from .dispatch import main

if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the call that the command line asks for, and end the process."""
    # Without the interpreter's farewell: it would wait for requests that hang and print what they left open.
    os._exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
