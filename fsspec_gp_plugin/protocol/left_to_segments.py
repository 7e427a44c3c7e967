"""What the setup hook of a host leaves to the hooks of its segments, which alone know the content ids of the host."""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING, NamedTuple

from ..backups.required import Required
from ..storage.contract import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Sequence


class LeftToSegments(NamedTuple):
    """What the hooks of segments check of one backup. `total`: how many objects the backup has; `manifests`: its
    manifests, to be read by content id, None if the host's hook has made a catalog of all of them, or they are not
    used; `token`: that of the backup's claim.
    """

    required: Required
    total: int = 0
    manifests: Sequence[ObjectInfo] | None = None
    token: str = ""


def pack(left: LeftToSegments) -> bytes:
    """Encode it, to be kept on this host."""
    required = left.required
    head = {
        "timestamp": required.timestamp,
        "not_checked": required.not_checked,
        "segments": required.segments,
        "suffix": required.suffix,
        "single_data_file": required.single_data_file,
        "total": left.total,
        "manifests": None if left.manifests is None else [info[:3] for info in left.manifests],
        "token": left.token,
    }
    return json.dumps(head).encode() + b"\n" + required.oids.tobytes()


def unpack(data: bytes) -> LeftToSegments:
    """Decode what pack() encoded, without the coordinator's files. Raises ValueError, KeyError or TypeError if it is
    damaged.
    """
    head, _, oids = data.partition(b"\n")
    values = json.loads(head)
    total, token, listed = int(values.pop("total")), str(values.pop("token")), values.pop("manifests")
    manifests = None if listed is None else [ObjectInfo(*info) for info in listed]
    return LeftToSegments(Required(**values, oids=array("I", oids)), total, manifests, token)
