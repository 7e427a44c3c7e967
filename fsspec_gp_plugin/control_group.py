"""The control group of a process, and who ends all that is in it.

Only systemd may move a process of an ordinary user to another group, and setsid() leaves none. So what outlives its
command, as the agent does, ends with the service or the login session in which it was started, where that is so set.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ASK_SECONDS = 5.0


def own_group() -> str:
    """The path of this process's control group; "" where there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # Of the unified hierarchy, which is number 0, and of systemd's before it; either may be bare.
    found = [line.partition("::")[2] for line in lines if line.startswith("0::")]
    found += [line.rpartition(":")[2] for line in lines if ":name=systemd:" in line]
    return max(found, key=len, default="")


def ended_with(group: str, root: str = "/", ask: Callable[[list[str]], str] | None = None) -> str:
    """What ends this user's processes in that group when it ends itself, and by which setting; "" where nothing is
    known to do so. `root` is where systemd's files are, `ask` runs a command and gives its output.
    """
    unit = next((part for part in reversed(group.split("/")) if part.endswith((".service", ".scope"))), "")
    if not os.path.isdir(os.path.join(root, "run/systemd/system")):
        return ""  # another program's groups
    if unit.startswith("session-") and unit.endswith(".scope") and _ends_sessions(root):
        return f"the login session {unit} (KillUserProcesses=yes)"
    if unit.endswith(".service") and not unit.startswith("user@"):
        manager = ["--user"] if "/user@" in group else []
        mode = (ask or _output_of)(["systemctl", *manager, "show", "--property=KillMode", unit]).partition("=")[2]
        if mode.strip() not in ("process", "none"):
            return f"{unit} (KillMode={mode.strip() or 'control-group'})"
    return ""


def _output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


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
