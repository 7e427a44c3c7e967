"""Where this installation is, and how it is started anew: a virtual environment, or the tree of a bundle."""

from __future__ import annotations

import os
import sys

_PACKAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What makes a directory of packages a program, which Python runs by the directory's name.
_PROGRAM = os.path.join(_PACKAGES, "__main__.py")


def is_bundle() -> bool:
    """Whether the packages come with no interpreter, and the host's runs them."""
    return os.path.exists(_PROGRAM)


def bin_directory() -> str:
    """The directory of the executables; what tells this installation from another."""
    if is_bundle():
        return os.path.normpath(os.path.join(_PACKAGES, "../../../bin"))
    return os.path.dirname(sys.executable)


def executable() -> str:
    """What gpbackup calls, as an absolute path."""
    return os.path.join(bin_directory(), "fsspec_gp_plugin")


def command() -> list[str]:
    """How the program is started in a new process; its arguments follow."""
    # As the launcher does: nothing of the environment, and in a bundle nothing of the host's own packages.
    if is_bundle():
        return [sys.executable, "-I", "-S", "-X", "utf8", _PACKAGES]
    return [sys.executable, "-I", "-X", "utf8", "-m", "fsspec_gp_plugin"]
