"""Names of the objects that this plugin stores beside a backup for itself.

What can be told without reading an object stands in its name, so that a listing shows it.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

from .. import private
from .contents import MOST_OF_A_HOST, format_contents, parse_contents

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Below the backup's own prefix: one small listing finds all of them, and what deletes the backup deletes them.
FOLDER = "fsspec_gp_plugin/"
# Marks have a folder of their own, as most readers need only the manifests.
MARKS_FOLDER = f"{FOLDER}marks/"
_SUFFIX = ".manifest.gz"
# The limit of a name in most file systems, in bytes.
_LONGEST_NAME = 255
# The contents stand in the manifest's index, as they would make its name too long.
_IN_INDEX = "i"
# The probe objects of setup hooks before version 0.2. They stay where the credentials can't delete.
_OLD_PROBE = re.compile(r"gpbackup_[0-9]{14}_probe_.+_(?:written|aborted)")
_MARKED_MANIFEST = re.compile(
    re.escape(FOLDER)
    + r"([^/]+)\.([0-9a-f]{12})-[0-9a-f]{6}(?:\.c([-0-9_i]*)\.([0-9]{1,18})o\.([0-9]{1,20})b)?\.manifest\.gz"
)


class ManifestName(NamedTuple):
    """What a manifest's name shows. `mark`: the id of its host's mark; `contents`: the content ids of its objects, None
    if the name doesn't show them; `objects` and `size`: how many objects and bytes it lists, None for a manifest of
    version 1.
    """

    host: str
    mark: str
    contents: tuple[int, ...] | None = None
    objects: int | None = None
    size: int | None = None


def is_plugins_own(name: str) -> bool:
    """Whether an object below a backup's prefix was stored by this plugin for itself, not for gpbackup, by its name."""
    return name.startswith(FOLDER) or _OLD_PROBE.fullmatch(name) is not None


def name_of_host() -> str:
    """The name of this host, as it stands in names of objects."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-." else "_" for c in private.host())


def new_manifest_name(contents: Collection[int], objects: int, size: int, mark: str = "") -> str:
    """A new name for a manifest below a backup's prefix. No other host and no other call uses this name. `contents`:
    the content ids of its objects; `size`: their bytes; `mark`: the id of the host's mark, "" if it left none.
    """
    start = f"{name_of_host()}.{mark or secrets.token_hex(6)}-{secrets.token_hex(3)}"
    end = f".{objects}o.{size}b{_SUFFIX}"
    name = f"{start}.c{format_contents(contents)}{end}"
    is_short = len(name) <= _LONGEST_NAME and len(set(contents)) <= MOST_OF_A_HOST
    return FOLDER + (name if is_short else f"{start}.c{_IN_INDEX}{end}")


def parse_manifest_name(name: str) -> ManifestName | None:
    """What the name of a manifest below a backup's prefix shows. None for any other object, and for a manifest that
    belongs to no mark.
    """
    match = _MARKED_MANIFEST.fullmatch(name)
    if match is None:
        return None
    host, mark, contents, objects, size = match.groups()
    if objects is None:
        return ManifestName(host, mark)
    try:
        ids = None if contents == _IN_INDEX else parse_contents(contents)
    except ValueError:
        return None
    return ManifestName(host, mark, ids, int(objects), int(size))


def listed_contents(names: Iterable[str]) -> set[int]:
    """The content ids of which manifests with these names list objects, as far as the names show them."""
    found = map(parse_manifest_name, names)
    return {content for name in found if name is not None for content in name.contents or ()}


def is_manifest(name: str) -> bool:
    """Whether an object below a backup's prefix is a manifest, by its name."""
    return name.startswith(FOLDER) and name.endswith(_SUFFIX) and "/" not in name[len(FOLDER) :]
