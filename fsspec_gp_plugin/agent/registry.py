"""Who needs the agent of a host: each backup or restore that a setup hook has registered, and no cleanup hook released.

They are kept in a small file beside the agent's socket, so that one that takes the place of a dead agent knows them.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..gpbackup_process import GpbackupProcess
from ..private import read_in, replace_in, unlink_in

if TYPE_CHECKING:
    from .shared_counters import Signs

SUFFIX = ".users"
# A user that has shown no sign of life for so long is forgotten: its gpbackup was killed, and no hook came.
_FORGOTTEN_SECONDS = 86400.0
_WRITTEN_SECONDS = 600.0
_LONGEST_NAME = 200


@dataclass
class User:
    """A backup or restore. `since` and `sign`: when it was registered, and its last sign of life, in seconds since
    1970; `process`: its gpbackup or gprestore, where that runs on this host; `hooks`: how many setup hooks have
    registered it, as two restores of one backup do.
    """

    since: float
    sign: float
    process: GpbackupProcess | None = None
    hooks: int = 1


class Registry:
    """The users of one agent, and their file."""

    def __init__(self, directory: int, name: str, signs: Signs) -> None:
        """Begin with those in the file `name` in an open directory. `signs`: where workers leave signs of life."""
        self._directory = directory
        self._name = name
        self._signs = signs
        self._written = time.time()
        self.users = read_users(directory, name)
        for name_of_user, user in self.users.items():
            signs.expect(timestamp_of(name_of_user), user.sign)

    def add(self, name: str, process: GpbackupProcess | None) -> None:
        """Register a user, whose name is `KIND TIMESTAMP SCOPE`."""
        now, name = time.time(), name[:_LONGEST_NAME]
        before = self.users.get(name)
        # Of two processes none tells that the other has ended.
        self.users[name] = (
            User(now, now, process) if before is None else User(before.since, now, None, before.hooks + 1)
        )
        self._signs.expect(timestamp_of(name), now)
        self._write()

    def remove(self, name: str) -> None:
        """A cleanup hook has released it."""
        user = self.users.get(name[:_LONGEST_NAME])
        if user is None:
            return
        user.hooks -= 1
        if not user.hooks:
            del self.users[name[:_LONGEST_NAME]]
        self._write()

    def forget_gone(self) -> list[str]:
        """Forget the users whose process has ended, or who have shown no sign for a day; returns their names."""
        now = time.time()
        for name, user in self.users.items():
            user.sign = max(user.sign, self._signs.last(timestamp_of(name)))
        gone = [
            name
            for name, user in self.users.items()
            if now - user.sign > _FORGOTTEN_SECONDS or (user.process is not None and user.process.has_ended())
        ]
        for name in gone:
            del self.users[name]
        if gone or (self.users and now - self._written > _WRITTEN_SECONDS):
            self._write()
        return gone

    def clear(self) -> None:
        """The agent ends, and nobody shall start another one for its users."""
        self.users.clear()
        self._write()

    def described(self) -> list[dict[str, Any]]:
        """For `agent status`: each user's name, and how many seconds ago it was registered and gave a sign of life."""
        now = time.time()
        return [
            {"user": name, "registered": round(now - user.since), "last_sign": round(now - user.sign)}
            for name, user in sorted(self.users.items())
        ]

    def _write(self) -> None:
        self._written = time.time()
        with suppress(OSError):  # a full disk: then nobody starts another agent, should this one die
            if not self.users:
                unlink_in(self._directory, self._name)
                return
            told = {
                name: {
                    "since": user.since,
                    "sign": user.sign,
                    "process": user.process and user.process.to_json(),
                    "hooks": user.hooks,
                }
                for name, user in self.users.items()
            }
            replace_in(self._directory, self._name, json.dumps(told).encode())


def read_users(directory: int, name: str) -> dict[str, User]:
    """The users in a file, but for those who are to be forgotten; none where it is missing or damaged."""
    try:
        told = json.loads(read_in(directory, name) or b"{}")
        found = {
            str(user): User(
                float(one["since"]), float(one["sign"]), GpbackupProcess.from_json(one["process"]), int(one["hooks"])
            )
            for user, one in told.items()
        }
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return {}
    now = time.time()
    return {name: user for name, user in found.items() if now - user.sign <= _FORGOTTEN_SECONDS}


def timestamp_of(user: str) -> int:
    """The timestamp in a user's name as a number; 0 where there is none."""
    words = user.split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) == 14 else 0
