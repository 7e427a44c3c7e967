"""Whose backup it is: what tells one database cluster from another."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# PostgreSQL and all that came of it begin global/pg_control with an unsigned number of 64 bits, then the format's
# version in 32 bits (catalog/pg_control.h, ControlFileData).
_PG_CONTROL = struct.Struct("=QI")
_LONGEST = 4096


class Cluster(NamedTuple):
    """A database cluster, as far as it is known; "" for what is not. `name`: the option `cluster`; `system_identifier`:
    the number that initdb gave the coordinator; `host`, `port` and `directory`: the coordinator's.
    """

    name: str = ""
    system_identifier: str = ""
    host: str = ""
    port: str = ""
    directory: str = ""

    def is_same(self, other: Cluster) -> bool:
        """Whether nothing that counts differs: the names alone where both have one, else the coordinators' hosts and
        the system identifiers. Only where none of the two has an identifier the directories count. The port may change.
        """
        if self.name and other.name:
            return self.name == other.name
        pairs = [(_label(self.host), _label(other.host)), (self.system_identifier, other.system_identifier)]
        if not self.system_identifier and not other.system_identifier:
            pairs.append((self.directory, other.directory))
        return all(not ours or not theirs or ours == theirs for ours, theirs in pairs)

    @property
    def group(self) -> tuple[str, ...]:
        """Equal for backups of one cluster, to group them by."""
        if self.name:
            return (self.name,)
        return (self.system_identifier, _label(self.host), "" if self.system_identifier else self.directory)

    def __str__(self) -> str:
        where = f"{self.host or '?'}{f':{self.port}' if self.port else ''}"
        told = f"{where}{f', {self.directory}' if self.directory else ''}"
        return f"cluster {self.name!r} ({told})" if self.name else f"the cluster of coordinator {told}"

    def to_json(self) -> dict[str, str]:
        """For a claim."""
        return self._asdict()

    @classmethod
    def from_json(cls, value: Any) -> Cluster:
        """What to_json() gave; ValueError for anything else. What later versions add is left out."""
        if not isinstance(value, dict):
            raise ValueError("not a cluster")
        known = {name: value.get(name, "") for name in cls._fields}
        if not all(isinstance(text, str) and len(text) <= _LONGEST and text.isprintable() for text in known.values()):
            raise ValueError("not a cluster")
        return cls(**known)


def _label(host: str) -> str:
    """A host's name without its domain, which some configurations show and others don't."""
    return host.partition(".")[0].lower()


def cluster_here(name: str, port: str, environ: Mapping[str, str], directory: str = "") -> Cluster:
    """The cluster whose coordinator runs on this host. `directory`: the coordinator's data directory, where a hook was
    told it; else the environment's counts. `name` and `port` are options.
    """
    found = directory or environ.get("COORDINATOR_DATA_DIRECTORY") or environ.get("MASTER_DATA_DIRECTORY") or ""
    found = os.path.realpath(found) if found else ""
    return Cluster(name, _system_identifier(found), os.uname().nodename, port or environ.get("PGPORT", ""), found)


def _system_identifier(directory: str) -> str:
    """By global/pg_control of a data directory; "" where that can't be read."""
    if not directory:
        return ""
    try:
        with open(os.path.join(directory, "global", "pg_control"), "rb") as file:
            number, version = _PG_CONTROL.unpack(file.read(_PG_CONTROL.size))
    except (OSError, struct.error):
        return ""
    return str(number) if number and version else ""
