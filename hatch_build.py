"""Puts the executables into a wheel: the launcher and, where there is a C compiler, the compiled client."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "fsspec_gp_plugin"
OPTIONS = ("-std=gnu11", "-O2", "-s")


class Executables(BuildHookInterface):  # type: ignore[type-arg]
    """`bin/fsspec_gp_plugin`, and `bin/fsspec_gp_plugin.sh`, which it executes when there is no agent."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called before a wheel is built, an editable one as well."""
        # Goes when the build has ended; nothing is written into the source tree.
        self._folder = tempfile.TemporaryDirectory(prefix=f"{NAME}-")
        folder = Path(self._folder.name)
        launcher = Path(self.root, "bin", NAME)
        # Two sources, as hatchling knows a script by its source.
        second = Path(shutil.copy(launcher, folder / f"{NAME}.sh"))
        client = None if os.environ.get("FSSPEC_GP_PLUGIN_CLIENT") == "python" else self._compiled(folder)
        if client is not None:
            build_data["tag"] = f"py3-none-{_platform()}"
        build_data["shared_scripts"] |= {str(client or launcher): NAME, str(second): second.name}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Called after it."""
        self._folder.cleanup()

    def _compiled(self, folder: Path) -> Path | None:
        """The client, or None without a compiler that makes one."""
        source = Path(self.root, NAME, "agent", "client.c")
        client = folder / NAME
        version = f'-DVERSION="{self.metadata.version}"'
        for compiler in [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]:
            # Static starts faster, and no LD_LIBRARY_PATH of the database's matters; not every host has what it needs.
            for linking in (["-static"], []):
                command = [*shlex.split(compiler), *OPTIONS, *linking, version, str(source), "-o", str(client)]
                if _succeeds(command) and _works(client):
                    return client
        return None


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def _works(client: Path) -> bool:
    """Whether it runs on this machine: it executes the launcher beside it, which finds no Python there."""
    try:
        done = subprocess.run([client, "--version"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        # Another machine's does not. Nothing at all may run where temporary directories are mounted noexec.
        return isinstance(error, PermissionError) and client.stat().st_mode & 0o100 != 0
    return done.returncode == 2 and b"no Python beside it" in done.stderr


def _platform() -> str:
    from packaging.tags import platform_tags

    # Not one of those that promise to run on any Linux.
    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))
