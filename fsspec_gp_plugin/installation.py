"""Finds the paths of this installation, a virtual environment or the tree of a bundle, and how to start it again."""

from __future__ import annotations

import os
import sys

_PACKAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What makes a directory of packages a program, which Python runs by the directory's name.
_PROGRAM = os.path.join(_PACKAGES, "__main__.py")


def is_bundle() -> bool:
    """Return whether this is a bundle, which the host's own Python runs."""
    return os.path.exists(_PROGRAM)


def bin_directory() -> str:
    """Return the directory of the executables, which identifies this installation."""
    if is_bundle():
        return os.path.normpath(os.path.join(_PACKAGES, "../../../bin"))
    return os.path.dirname(sys.executable)


def executable() -> str:
    """Return the absolute path of what gpbackup calls."""
    return os.path.join(bin_directory(), "fsspec_gp_plugin")


def command() -> list[str]:
    """Return the command that starts the program in a new process; arguments follow it."""
    # As the launcher does: nothing of the environment, and in a bundle nothing of the host's own packages.
    if is_bundle():
        return [sys.executable, "-I", "-S", "-X", "utf8", _PACKAGES]
    return [sys.executable, "-I", "-X", "utf8", "-m", "fsspec_gp_plugin"]
