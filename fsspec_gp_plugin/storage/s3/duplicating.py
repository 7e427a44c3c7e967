"""Copies that S3 makes by itself, within one endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import translating

if TYPE_CHECKING:
    from ..contract import ObjectInfo
    from .store import S3Store

# Beyond this s3fs copies part by part.
_LARGEST_IN_ONE = 5 << 30
_BLOCK = 512 << 20
_PARTS = 9000


def copied(source: S3Store, target: S3Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
    """As CopyingStore.copy_from(); whether the credentials may do that shows."""
    if source.control.endpoint() != target.control.endpoint():
        return None
    control = target.control
    parts = {"block": max(_BLOCK, -(-info.size // _PARTS))} if info.size > _LARGEST_IN_ONE else {}
    paths = ("/".join(store.target(name).values()) for store, name in ((source, info.key), (target, key)))
    with translating(f"can't copy {source.name(info.key)} to {target.name(key)}"):
        control.outcome(control.submit(control.fs._cp_file(*paths, **parts)), size=info.size)  # noqa: SLF001
    return target.require_size(info._replace(key=key, version=None))
