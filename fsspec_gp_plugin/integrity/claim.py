"""The claim: a small object beside a backup that says whose it is, written before anything else and deleted last.

Where the store can create an object only if there is none, it is called `claim.json`, and the second to write it is
refused. Elsewhere each claimant writes `claim.TOKEN.json`; the one with the smallest token has won, and writes
`claim.settled.json`.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import NamedTuple

from .. import __version__
from ..errors import StorageError
from ..gpbackup_process import GpbackupProcess
from .cluster import Cluster
from .manifest import FOLDER

_FORMAT = "fsspec_gp_plugin claim"
_NAME = re.compile(re.escape(FOLDER) + r"claim\.(?:(?:[0-9a-f]{32}|settled)\.)?json")
# The name of a claim that the store created only because there was none.
NAME = f"{FOLDER}claim.json"
# That of a claim which has won by best effort.
SETTLED = f"{FOLDER}claim.settled.json"
LARGEST = 64 << 10


class BadClaim(StorageError):
    """It is none that this version can read."""


class Claim(NamedTuple):
    """`token`: 32 random hexadecimal digits, which stand for this run; `created`: nanoseconds since 1970; `process`:
    the gpbackup of the run, where it is known.
    """

    timestamp: str
    token: str
    cluster: Cluster
    created: int
    process: GpbackupProcess | None = None

    @property
    def own_name(self) -> str:
        """The name below the backup's prefix under which it contends with others."""
        return f"{FOLDER}claim.{self.token}.json"

    def encoded(self) -> bytes:
        """What the object holds."""
        told = {
            "format": _FORMAT,
            "version": 1,
            "plugin": __version__,
            "timestamp": self.timestamp,
            "token": self.token,
            "created": self.created,
            "cluster": self.cluster.to_json(),
            **({} if self.process is None else {"process": self.process.to_json()}),
        }
        return json.dumps(told, indent=1).encode() + b"\n"


def new_claim(timestamp: str, cluster: Cluster, process: GpbackupProcess | None = None) -> Claim:
    """That of a run that begins now."""
    return Claim(timestamp, secrets.token_hex(16), cluster, time.time_ns(), process)


def is_claim(name: str) -> bool:
    """Whether an object below a backup's prefix is a claim, by its name."""
    return _NAME.fullmatch(name) is not None


def decoded(key: str, timestamp: str, data: bytes) -> Claim:
    """The claim that an object of that key holds; BadClaim for anything else, however odd."""
    try:
        told = json.loads(data)
        if told["format"] != _FORMAT or told["timestamp"] != timestamp:
            raise ValueError
        token, created = told["token"], told["created"]
        if not re.fullmatch(r"[0-9a-f]{32}", token) or type(created) is not int or not 0 <= created < 1 << 63:
            raise ValueError
        process = GpbackupProcess.from_json(told.get("process"))
        return Claim(timestamp, token, Cluster.from_json(told["cluster"]), created, process)
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadClaim(
            f"{key} is not a claim of this backup that this version can read; if no backup of {timestamp} runs, "
            f"`delete_backup CONFIG {timestamp} --any-cluster` removes it"
        ) from None
