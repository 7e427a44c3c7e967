"""The plugin with seconds instead of minutes: what it waits for can't be sat out in a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """\
import os, sys
from fsspec_gp_plugin.dispatch import main
from fsspec_gp_plugin.protocol import context, targets
from fsspec_gp_plugin.storage import failing_reads, outages
targets.OUTAGE_SECONDS = context.OUTAGE_SECONDS = {outage}
targets.UNATTENDED_SECONDS = {unattended}
outages.AFTER_AN_OUTAGE_SECONDS = {after}
failing_reads.ERROR_SECONDS, failing_reads.NOTED_AFTER_SECONDS, failing_reads._LOOK_SECONDS = {error}, 0.2, 0.1
os._exit(main(sys.argv[1:]))
"""


def impatient_executable(folder: Path, *, outage: float = 60.0, after: float = 30.0, error: float = 30.0) -> Path:
    """An executable that runs the installed plugin with other seconds: of an `outage`, `after` one, and until an object
    is given up that answers with an `error` while others can be read. Hooks and deletions wait for a third of `outage`.
    """
    program = folder / "impatient.py"
    program.write_text(_PROGRAM.format(outage=outage, unattended=outage / 3, after=after, error=error))
    executable = folder / "impatient"
    executable.write_text(
        "#!/bin/sh\n"
        "unset PYTHONHOME PYTHONPATH LD_LIBRARY_PATH OPENSSL_CONF\n"
        f'exec {sys.executable} -I -X utf8 {program} "$@"\n'
    )
    executable.chmod(0o755)
    return executable
