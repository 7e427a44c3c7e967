"""Identifies a database cluster, to know which cluster owns a backup."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# PostgreSQL and its descendants begin global/pg_control with an unsigned number of 64 bits, then the format's
# version in 32 bits (catalog/pg_control.h, ControlFileData).
_PG_CONTROL = struct.Struct("=QI")
_LONGEST = 4096


class Cluster(NamedTuple):
    """A database cluster; a field is "" if it is unknown. `name`: the option `cluster`; `system_identifier`: the number
    that initdb gave the coordinator; `host`, `port` and `directory`: the coordinator's.
    """

    name: str = ""
    system_identifier: str = ""
    host: str = ""
    port: str = ""
    directory: str = ""

    def is_same(self, other: Cluster) -> bool:
        """Whether two clusters are the same: if both have names, the names decide; otherwise the coordinators' hosts
        and the system identifiers. The directories decide only if neither has an identifier. The port may change.
        """
        if self.name and other.name:
            return self.name == other.name
        pairs = [(_label(self.host), _label(other.host)), (self.system_identifier, other.system_identifier)]
        if not self.system_identifier and not other.system_identifier:
            pairs.append((self.directory, other.directory))
        return all(not ours or not theirs or ours == theirs for ours, theirs in pairs)

    @property
    def group(self) -> tuple[str, ...]:
        """The key to group backups by cluster: equal for backups of the same cluster."""
        if self.name:
            return (self.name,)
        return (self.system_identifier, _label(self.host), "" if self.system_identifier else self.directory)

    def __str__(self) -> str:
        where = f"{self.host or '?'}{f':{self.port}' if self.port else ''}"
        coordinator = f"{where}{f', {self.directory}' if self.directory else ''}"
        return f"cluster {self.name!r} ({coordinator})" if self.name else f"the cluster of coordinator {coordinator}"

    def to_json(self) -> dict[str, str]:
        """The cluster as a claim has it."""
        return self._asdict()

    @classmethod
    def from_json(cls, value: Any) -> Cluster:
        """The cluster that to_json() gave, without fields of later versions. Raises ValueError for anything else."""
        if not isinstance(value, dict):
            raise ValueError("not a cluster")
        known = {name: value.get(name, "") for name in cls._fields}
        if not all(isinstance(text, str) and len(text) <= _LONGEST and text.isprintable() for text in known.values()):
            raise ValueError("not a cluster")
        return cls(**known)


def _label(host: str) -> str:
    """A host's name without its domain, as only some configurations have the domain."""
    return host.partition(".")[0].lower()


def cluster_here(name: str, port: str, environ: Mapping[str, str], directory: str = "") -> Cluster:
    """The cluster whose coordinator runs on this host. `name` and `port`: the options; `directory`: the coordinator's
    data directory, by default that of the environment.
    """
    path = directory or environ.get("COORDINATOR_DATA_DIRECTORY") or environ.get("MASTER_DATA_DIRECTORY") or ""
    path = os.path.realpath(path) if path else ""
    return Cluster(name, _system_identifier(path), os.uname().nodename, port or environ.get("PGPORT", ""), path)


def _system_identifier(directory: str) -> str:
    """The system identifier in global/pg_control of a data directory. "" if it can't be read."""
    if not directory:
        return ""
    try:
        with open(os.path.join(directory, "global", "pg_control"), "rb") as file:
            number, version = _PG_CONTROL.unpack(file.read(_PG_CONTROL.size))
    except (OSError, struct.error):
        return ""
    return str(number) if number and version else ""
