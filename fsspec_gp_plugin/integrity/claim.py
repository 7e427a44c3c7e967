"""Writes and reads the content of a claim: a small object that says which cluster owns a backup prefix.

A run writes its claim before anything else, and the claim is deleted last. If the store can create an object only if
there is none, the claim is `claim.json`, and the store refuses the second one. Otherwise each run writes
`claim.TOKEN.json`; the run with the smallest token wins, and writes `claim.settled.json`.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__
from ..errors import StorageError
from ..gpbackup_process import GpbackupProcess
from .cluster import Cluster
from .object_names import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMAT = "fsspec_gp_plugin claim"
_NAME = re.compile(re.escape(FOLDER) + r"claim\.(?:(?:[0-9a-f]{32}|settled)\.)?json")
# The name of a claim that the store created only because there was none.
NAME = f"{FOLDER}claim.json"
# The name of a claim that has won by best effort.
SETTLED = f"{FOLDER}claim.settled.json"
LARGEST = 64 << 10
# The text of a recipient. It may become part of a message.
_MOST_RECIPIENTS = 256
_RECIPIENT = re.compile(r"age1[0-9a-z]{6,200}")


class BadClaim(StorageError):
    """The object is not a claim that this version can read."""


def are_recipients(texts: Sequence[object]) -> bool:
    """Whether texts that come from a bucket may be recipients, and are not too many for any backup."""
    return len(texts) <= _MOST_RECIPIENTS and all(
        isinstance(text, str) and _RECIPIENT.fullmatch(text) is not None for text in texts
    )


class Encryption(NamedTuple):
    """To which recipients (`age1…`) a backup is encrypted. Those of the metadata open only the coordinator's files."""

    recipients: tuple[str, ...]
    metadata_recipients: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What stands in a claim."""
        return {name: list(texts) for name, texts in self._asdict().items()}

    @classmethod
    def from_json(cls, value: Any) -> Encryption | None:
        """What a claim says; None where it says nothing. Raises ValueError."""
        if value is None:
            return None
        found = cls(tuple(value["recipients"]), tuple(value.get("metadata_recipients", ())))
        texts = found.recipients + found.metadata_recipients
        if not found.recipients or not are_recipients(texts):
            raise ValueError
        return found


class Claim(NamedTuple):
    """The claim of one run. `token`: 32 random hexadecimal digits that identify the run; `created`: nanoseconds since
    1970; `process`: the gpbackup of the run, None if it is unknown; `encryption`: None for a backup that is not
    encrypted.
    """

    timestamp: str
    token: str
    cluster: Cluster
    created: int
    process: GpbackupProcess | None = None
    encryption: Encryption | None = None

    @property
    def own_name(self) -> str:
        """The name below the backup's prefix that no other run's claim has."""
        return f"{FOLDER}claim.{self.token}.json"

    def encode(self) -> bytes:
        """The content of the object."""
        value = {
            "format": _FORMAT,
            "version": 1,
            "plugin": __version__,
            "timestamp": self.timestamp,
            "token": self.token,
            "created": self.created,
            "cluster": self.cluster.to_json(),
            **({} if self.process is None else {"process": self.process.to_json()}),
            **({} if self.encryption is None else {"encryption": self.encryption.to_json()}),
        }
        return json.dumps(value, indent=1).encode() + b"\n"


def new_claim(
    timestamp: str, cluster: Cluster, process: GpbackupProcess | None = None, encryption: Encryption | None = None
) -> Claim:
    """The claim of a run that begins now."""
    return Claim(timestamp, secrets.token_hex(16), cluster, time.time_ns(), process, encryption)


def is_claim(name: str) -> bool:
    """Whether an object below a backup's prefix is a claim, by its name."""
    return _NAME.fullmatch(name) is not None


def decode(key: str, timestamp: str, data: bytes) -> Claim:
    """The claim in the content of an object. Raises BadClaim for any other content."""
    try:
        value = json.loads(data)
        if value["format"] != _FORMAT or value["timestamp"] != timestamp:
            raise ValueError
        token, created = value["token"], value["created"]
        if not re.fullmatch(r"[0-9a-f]{32}", token) or type(created) is not int or not 0 <= created < 1 << 63:
            raise ValueError
        process = GpbackupProcess.from_json(value.get("process"))
        encryption = Encryption.from_json(value.get("encryption"))
        return Claim(timestamp, token, Cluster.from_json(value["cluster"]), created, process, encryption)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise BadClaim(
            f"{key} is not a claim of this backup that this version can read; if no backup of {timestamp} runs, "
            f"`delete_backup CONFIG {timestamp} --any-cluster` removes it"
        ) from None
