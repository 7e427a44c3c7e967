"""Marks the version of an object with the number of the store that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contract import ObjectInfo


def mark_version(info: ObjectInfo, at: int) -> ObjectInfo:
    """Add the number of the store that the object comes from to its version."""
    return info._replace(version=f"{at}" if info.version is None else f"{at}:{info.version}")


def unmark_version(info: ObjectInfo) -> tuple[int, ObjectInfo]:
    """The number that mark_version() has added, and the object as its store knows it."""
    at, separator, version = str(info.version).partition(":")
    return int(at), info._replace(version=version if separator else None)
