"""`python -m fsspec_gp_plugin`, which the launcher in bin/ runs."""

import os
import sys

from .dispatch import main

if __name__ == "__main__":
    # Without the interpreter's farewell: it would wait for requests that hang and print what they left open.
    os._exit(main(sys.argv[1:]))
