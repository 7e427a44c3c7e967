"""Finds the control group of a process, and what ends all processes in it.

Only systemd may move a process of an ordinary user to another group, and setsid() leaves none. So what outlives its
command, as the agent does, ends with the service or the login session in which it was started, where that is so set.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASK_SECONDS = 5.0


def own_group() -> str:
    """Return the path of this process's control group; "" if there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # Of the unified hierarchy, which is number 0, and of systemd's before it; either may be bare.
    found = [line.partition("::")[2] for line in lines if line.startswith("0::")]
    found += [line.rpartition(":")[2] for line in lines if ":name=systemd:" in line]
    return max(found, key=len, default="")


class Inquiry:
    """What ends this user's processes in a control group when it ends itself. Only systemd knows, which may be slow."""

    def __init__(self, group: str, root: str = "/") -> None:
        """Start the inquiry. `root`: the directory of systemd's files."""
        self._known = ""
        self._unit = next((part for part in reversed(group.split("/")) if part.endswith((".service", ".scope"))), "")
        self._asked: subprocess.Popen[str] | None = None
        self._end = time.monotonic() + _ASK_SECONDS
        if not os.path.isdir(os.path.join(root, "run/systemd/system")):
            return  # another program's groups
        if self._unit.startswith("session-") and self._unit.endswith(".scope") and _ends_sessions(root):
            self._known = f"the login session {self._unit} (KillUserProcesses=yes)"
        if self._unit.endswith(".service") and not self._unit.startswith("user@"):
            self._known = f"{self._unit}, unless its KillMode is process, which systemd did not say"
            command = ["systemctl", *(["--user"] if "/user@" in group else []), "show", "--property=KillMode"]
            with suppress(OSError):
                self._asked = subprocess.Popen(
                    [*command, self._unit],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )

    def answer(self, *, wait: bool = False) -> str | None:
        """Who does so, and by which setting; "" where nothing is known to; None where systemd has yet to say, which
        takes 5 s at the most. `wait` for it.
        """
        if self._asked is not None:
            left = max(0.0, self._end - time.monotonic())
            with suppress(subprocess.TimeoutExpired):
                self._asked.wait(left if wait else 0)
            if self._asked.returncode is None:
                if left and not wait:
                    return None
                self._asked.kill()
            output = self._asked.communicate()[0]
            self._asked = None
            if mode := output.partition("=")[2].strip():
                self._known = "" if mode in ("process", "none") else f"{self._unit} (KillMode={mode})"
        return self._known


def ended_with(group: str, root: str = "/") -> str:
    """The answer of an `Inquiry`, waited for."""
    return Inquiry(group, root).answer(wait=True) or ""


def _ends_sessions(root: str) -> bool:
    """Whether logind ends what this user has left running at the end of a session."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False  # who has no name has no session
    settings = dict(_logind_settings(Path(root)))
    only = settings.get("KillOnlyUsers", "").split()
    return (
        settings.get("KillUserProcesses", "no").lower() in ("yes", "y", "true", "t", "on", "1")
        and user not in settings.get("KillExcludeUsers", "root").split()
        and (not only or user in only)
    )


def _logind_settings(root: Path) -> Iterator[tuple[str, str]]:
    """In the order in which they are read: the last one counts."""
    places = [root / place / "systemd" for place in ("usr/lib", "usr/local/lib", "run", "etc")]
    main = [place / "logind.conf" for place in places if os.path.isfile(place / "logind.conf")]
    # One in a later place stands for all of its name.
    more = {path.name: path for place in places for path in place.glob("logind.conf.d/*.conf")}
    for path in (*main[-1:], *(more[name] for name in sorted(more))):
        text = ""
        with suppress(OSError):  # it is root's alone
            text = path.read_text(errors="replace")
        for line in text.splitlines():
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
