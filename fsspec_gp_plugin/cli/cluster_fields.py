"""Whose backups are, as `list`, `info`, `verify` and `metrics` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..backups.ownership import Ownership
    from ..integrity.cluster import Cluster


def cluster_fields(ownership: Ownership) -> dict[str, Any]:
    """In JSON: the cluster by the claim, null where none is known, and how many claims there are; more than one is an
    error.
    """
    claim = ownership.claim
    return {"cluster": claim and claim.cluster.to_json(), "claims": len(ownership.claims)}


def shown(ownership: Ownership) -> str:
    """In a table."""
    if ownership.problem:
        return "two"
    return "?" if ownership.unreadable else "none" if ownership.claim is None else short(ownership.claim.cluster)


def short(cluster: Cluster) -> str:
    """Its name, or where its coordinator is."""
    return cluster.name or f"{cluster.host or '?'}{cluster.port and f':{cluster.port}'}"


def are_several(ownerships: Iterable[Ownership]) -> bool:
    """Whether backups of more than one cluster are there; one without a claim may be of any."""
    clusters = {one.claim.cluster.group for one in ownerships if one.claim is not None}
    return len(clusters) > 1


def label(ownership: Ownership) -> str:
    """What tells a cluster from others, for programs: its name, or its coordinator's host and directory; "" where
    nothing tells.
    """
    if ownership.claim is None:
        return ""
    cluster = ownership.claim.cluster
    return cluster.name or f"{cluster.host}:{cluster.directory}".strip(":")
