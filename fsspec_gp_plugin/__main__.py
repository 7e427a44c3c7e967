"""`python -m fsspec_gp_plugin`, which the launcher in bin/ runs."""

from __future__ import annotations

import os
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Python's own reaction to Ctrl-C is a traceback; until raise_on_signals() is called, Ctrl-C just ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from .dispatch import main

if __name__ == "__main__":
    # Without the interpreter's own end: it would wait for requests that hang and print what they left open.
    os._exit(main(sys.argv[1:]))
