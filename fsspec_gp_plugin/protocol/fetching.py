"""Manifests, fetched to this host for a restore: by its setup hook, or, where there was none, by the first command that
needs them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .. import keys, private
from ..errors import AccessDenied, LocalFileError, Unreachable
from ..integrity.catalog import Catalog
from ..integrity.catalog_files import FETCHED, purpose_of, remove_outdated
from ..integrity.contents import COORDINATOR, content_of
from ..integrity.object_names import listed_contents, parse_manifest_name
from .known_claims import keep_claim, read_listed_claim
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..backups.catalog_build import PluginObjects
    from ..integrity.entries import Entry
    from ..storage.contract import ObjectInfo, Store
    from .context import Context

ESCAPE = "set `checksum: off` to restore what there is without looking at the manifests"
# What was fetched without a setup hook may have been replaced after so many seconds, and is looked at again.
_FRESH_SECONDS = 3600.0
_PAUSE_SECONDS = 0.1
# As when a cleanup hook removes the catalog each time.
_ATTEMPTS = 5


class Manifests(NamedTuple):
    """The manifests of a backup, and the token of its claim, "" if it is unknown."""

    infos: Sequence[ObjectInfo]
    token: str = ""

    def total(self, timestamp: str) -> int:
        """How many objects they list together, as far as their names show it."""
        start = len(keys.backup_prefix(timestamp))
        names = (parse_manifest_name(info.key[start:]) for info in self.infos)
        return sum(name.objects or 0 for name in names if name is not None)


def find_manifests(
    context: Context, timestamp: str, store: Store, segments: int = 0, *, purpose: str | None = None
) -> Manifests | None:
    """List the manifests of a backup. None if there are none, or they can't be listed, which is logged. Warns of hosts
    that left none. `segments`: how many segments have stored objects, 0 if it is unknown; `purpose`: that of the record
    of the backup's claim, None to keep none.
    """
    from ..backups import catalog_build
    from ..integrity.manifest import BadManifest

    try:
        found = catalog_build.find_plugin_objects(store, timestamp)
        _warn_of_marks(context, timestamp, store, found, segments)
        claim = read_listed_claim(store, timestamp, found, context.log.info)
        if purpose is not None:
            keep_claim(context, timestamp, claim, purpose)
        if found.manifests:
            return Manifests(found.manifests, "" if claim is None else claim.token)
        why = "there is no manifest of it"
    except AccessDenied as error:
        why = f"its manifests can't be listed: {error}"
    except BadManifest as error:
        raise BadManifest(f"{error}; {ESCAPE}") from error
    context.log.info(f"{timestamp}: restored unverified, as {why}")
    return None


def build_catalog(
    context: Context,
    catalog: Catalog,
    timestamp: str,
    store: Store,
    manifests: Manifests | None,
    contents: Collection[int] | None = None,
) -> int | None:
    """Make a catalog of manifests, of all content ids or of some. Returns the number of objects in it. None, and an
    empty catalog so that nobody asks again, if there are no manifests or they can't be read.
    """
    from ..backups import catalog_build
    from ..integrity.manifest import BadManifest

    if manifests is not None:
        try:
            infos, token = manifests
            return catalog_build.build_catalog(catalog, store, timestamp, infos, token, contents)
        except AccessDenied as error:
            context.log.info(f"{timestamp}: restored unverified, as its manifests can't be read: {error}")
        except (LocalFileError, BadManifest) as error:
            raise type(error)(f"{error}; {ESCAPE}") from error
    try:
        catalog.build("", list)
    except LocalFileError as error:
        # Each restore asks again, then.
        context.log.verbose(str(error))
        with suppress(OSError):
            catalog.remove()
    return None


def _warn_of_marks(context: Context, timestamp: str, store: Store, found: PluginObjects, segments: int) -> None:
    """Warn of hosts that left a mark and no manifest: nothing says what they have stored."""
    from ..backups.catalog_build import find_marks
    from ..integrity import marks

    start = len(keys.backup_prefix(timestamp))
    names = [info.key[start:] for info in found.manifests]
    if segments and listed_contents(names) >= {COORDINATOR, *range(segments)}:
        return  # each segment's host left its manifest
    all_marks = [*found.marks, *(find_marks(store, timestamp) if found.has_marks else [])]
    hosts = marks.hosts_without_manifest(all_marks, names)
    if hosts:
        context.log.warning(
            f"{timestamp}: what {', '.join(hosts)} stored is restored unverified, as there is no manifest of that host"
        )


def entry_of(context: Context, timestamp: str, name: str) -> Entry | None:
    """What the manifests of a backup say of an object; None where none names it, or there is none. They are fetched
    once a host and content id, whoever asks. NotFound, BadManifest, LocalFileError and what the store raises.
    """
    purposes = (purpose_of(content_of(name)), "")
    try:
        for purpose in purposes:
            with suppress(private.NoDirectoryError), Catalog(context.config.place, timestamp, purpose) as catalog:
                found = catalog.entry(name)
                if found is not None or catalog.exists():
                    return found
        for _ in range(_ATTEMPTS):
            context.wait_for(partial(_fetch, context, timestamp, content_of(name)))
            for purpose in purposes:
                with Catalog(context.config.place, timestamp, purpose + FETCHED, make=True) as catalog:
                    found = catalog.entry(name)
                    if found is not None or catalog.exists():
                        return found
    except LocalFileError as error:
        message = str(error)
        raise LocalFileError(message if ESCAPE in message else f"{message}; {ESCAPE}") from error
    raise LocalFileError(f"the manifests of {timestamp} are removed from this host while they are needed; {ESCAPE}")


def _fetch(context: Context, timestamp: str, content: int) -> None:
    """Fetch the manifests, or what they have of one content id, unless this host has it; after an hour, check that it
    is still the same.
    """
    place = context.config.place
    with (
        Catalog(place, timestamp, FETCHED, make=True) as whole,
        Catalog(place, timestamp, purpose_of(content) + FETCHED) as part,
    ):
        _fetch_into(context, timestamp, whole, part, content)


def _fetch_into(context: Context, timestamp: str, whole: Catalog, part: Catalog, content: int) -> None:
    def is_fresh() -> bool:
        return whole.is_younger(_FRESH_SECONDS) or part.is_younger(_FRESH_SECONDS)

    waited = 0.0
    while not is_fresh():
        if (lock := whole.lock()) is not None:
            with lock:
                if not is_fresh():
                    whole.sweep()
                    _fetch_now(context, timestamp, whole, part, content)
            return
        if waited > context.targets.seconds_to_wait():
            raise Unreachable(
                f"the manifests of {timestamp}, which another process of this host fetches, have not arrived in "
                f"{waited:.0f} s"
            )
        time.sleep(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS


def _fetch_now(context: Context, timestamp: str, whole: Catalog, part: Catalog, content: int) -> None:
    from ..backups.manifest_reading import know_contents

    store = store_of_backup(context, timestamp)
    manifests = find_manifests(context, timestamp, store, purpose=FETCHED)
    is_partial = manifests is not None and know_contents(manifests.infos, timestamp)
    catalog, contents, of = (part, {content}, f" of content id {content}") if is_partial else (whole, None, "")
    remove_outdated(context.config.place, timestamp, by_content=is_partial, fetched=True)
    count = build_catalog(context, catalog, timestamp, store, manifests, contents)
    if count is not None:
        context.log.info(f"{timestamp}: the manifests name {count} objects{of}; no setup hook has fetched them here")
    catalog.touch()
