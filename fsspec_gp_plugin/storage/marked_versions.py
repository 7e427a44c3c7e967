"""Keeps in the version of an object from which of two stores it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contract import ObjectInfo


def mark_version(info: ObjectInfo, at: int) -> ObjectInfo:
    """Add to the version of an object which of two stores it comes from."""
    return info._replace(version=f"{at}" if info.version is None else f"{at}:{info.version}")


def unmark_version(info: ObjectInfo) -> tuple[int, ObjectInfo]:
    """The store that an object of mark_version() comes from, and the object as that store knows it."""
    at, separator, version = str(info.version).partition(":")
    return int(at), info._replace(version=version if separator else None)
