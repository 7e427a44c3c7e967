"""Which gpbackup or gprestore a command was called by, and whether that process is still there.

Known only where it is an ancestor of the command, as on the coordinator's host: on other hosts commands come by ssh or
from the database's server.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any, NamedTuple

_NAMES = ("gpbackup", "gprestore", "ggbackup", "ggrestore")
_MOST_ANCESTORS = 16
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class GpbackupProcess(NamedTuple):
    """A process of gpbackup or gprestore. `started`: clock ticks after boot; `boot`: the kernel's id of that boot;
    `namespace`: of the process ids. Both tell the process from another one that has got its id.
    """

    pid: int
    started: int
    boot: str
    namespace: str

    def has_ended(self) -> bool:
        """Whether it is certain that the process is gone. On another boot, or in another namespace of process ids,
        nothing is certain: another host may have the same name.
        """
        if not self.boot or (self.boot, self.namespace) != _here():
            return False
        found = _stat(self.pid)
        if found is None:
            return _is_no_process(self.pid)
        return found[2] != self.started or found[3] in "ZX"

    def is_running(self) -> bool:
        """Return whether it is certain that the process runs."""
        found = _stat(self.pid) if self.boot and (self.boot, self.namespace) == _here() else None
        return found is not None and found[2] == self.started and found[3] not in "ZX"

    def read_arguments(self) -> tuple[str, ...]:
        """Its command line without its own name; empty if it can't be read."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                words = file.read(1 << 20).split(b"\0")
        except OSError:
            return ()
        return tuple(os.fsdecode(word) for word in words[1:-1]) if self.is_running() else ()

    def to_json(self) -> dict[str, Any]:
        """For a claim, and for notes on this host."""
        return self._asdict()

    @classmethod
    def from_json(cls, value: Any) -> GpbackupProcess | None:
        """Return the process that to_json() described; None for anything else."""
        if not isinstance(value, dict):
            return None
        found = {name: value.get(name) for name in cls._fields}
        pid, started, boot, namespace = found.values()
        if type(pid) is not int or type(started) is not int or not isinstance(boot, str):
            return None
        return cls(pid, started, boot, namespace) if isinstance(namespace, str) else None


def gpbackup_above(pid: int) -> GpbackupProcess | None:
    """Return the nearest ancestor of a process that is named gpbackup or gprestore; None if there is none."""
    found = _stat(pid)
    for _ in range(_MOST_ANCESTORS):
        pid = found[1] if found is not None else 0
        found = _stat(pid)
        if found is not None and found[0] in _NAMES:
            return GpbackupProcess(pid, found[2], *_here())
    return None


def boot_id() -> str:
    """Return the kernel's id of this boot; "" if it has none."""
    return _here()[0]


def _is_no_process(pid: int) -> bool:
    """Where /proc shows nothing: it may hide the processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _here() -> tuple[str, str]:
    """The id of this boot and the namespace of our process ids; "" for what the kernel doesn't tell."""
    boot = namespace = ""
    with suppress(OSError), open(_BOOT_ID, encoding="ascii") as file:
        boot = file.read().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return boot, namespace


def _stat(pid: int) -> tuple[str, int, int, str] | None:
    """Name, parent, start in clock ticks after boot, and state of a process; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            found = re.fullmatch(r"\d+ \((.*)\) (\S) (.*)", file.read().strip(), re.DOTALL)
    except OSError:
        return None
    if found is None:
        return None
    # proc(5): field 4 is the parent, field 22 the start.
    numbers = found[3].split()
    return found[1], int(numbers[0]), int(numbers[18]), found[2]
