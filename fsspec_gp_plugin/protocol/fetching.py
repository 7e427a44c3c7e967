"""Manifests, fetched to this host for a restore: by its setup hook, or, where there was none, by the first command that
needs them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .. import keys, private
from ..errors import AccessDenied, LocalFileError, Unreachable
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from ..backups.catalog_build import PluginObjects
    from ..integrity.catalog import Catalog
    from ..integrity.entries import Entry
    from ..storage.contract import Store
    from .context import Context

ESCAPE = "set `checksum: off` to restore what there is without looking at the manifests"
# What was fetched without a setup hook may have been replaced after so many seconds, and is looked at again.
_FRESH_SECONDS = 3600.0
_PAUSE_SECONDS = 0.1
# As when a cleanup hook removes the catalog each time.
_ATTEMPTS = 5


def build_catalog(context: Context, catalog: Catalog, timestamp: str, store: Store) -> int | None:
    """Make a catalog of all manifests; returns the number of objects in it, None where there are no manifests that can
    be read, which the catalog tells, too, so that nobody asks again.
    """
    from ..backups import catalog_build
    from ..integrity.manifest import BadManifest

    can_not = "be listed"
    try:
        notes = catalog_build.find_plugin_objects(store, timestamp)
        _warn_of_marks(context, timestamp, notes)
        if notes.manifests:
            can_not = "be read"
            token = catalog_build.read_token(store, notes.claims)
            return catalog_build.build_catalog(catalog, store, timestamp, notes.manifests, token)
        why = "there is no manifest of it"
    except AccessDenied as error:
        why = f"its manifests can't {can_not}: {error}"
    except (LocalFileError, BadManifest) as error:
        raise type(error)(f"{error}; {ESCAPE}") from error
    context.log.info(f"{timestamp}: restored unverified, as {why}")
    try:
        catalog.build("", list)
    except LocalFileError as error:
        # Each restore asks again, then.
        context.log.verbose(str(error))
        with suppress(OSError):
            catalog.remove()
    return None


def _warn_of_marks(context: Context, timestamp: str, notes: PluginObjects) -> None:
    """Warn of hosts that left a mark and no manifest: nothing says what they have stored."""
    from ..integrity import marks

    start = len(keys.backup_prefix(timestamp))
    hosts = marks.hosts_without_manifest(notes.marks, [info.key[start:] for info in notes.manifests])
    if hosts:
        context.log.warning(
            f"{timestamp}: what {', '.join(hosts)} stored is restored unverified, as there is no manifest of that host"
        )


def entry_of(context: Context, timestamp: str, name: str) -> Entry | None:
    """What the manifests of a backup say of an object; None where none names it, or there is none. They are fetched
    once a host, whoever asks. NotFound, BadManifest, LocalFileError and what the store raises.
    """
    from ..integrity.catalog import FETCHED, Catalog

    try:
        with suppress(private.NoDirectoryError), Catalog(context.config.place, timestamp) as catalog:
            found = catalog.entry(name)
            if found is not None or catalog.exists():
                return found
        for _ in range(_ATTEMPTS):
            context.wait_for(partial(_fetch, context, timestamp))
            with Catalog(context.config.place, timestamp, FETCHED, make=True) as catalog:
                found = catalog.entry(name)
                if found is not None or catalog.exists():
                    return found
    except LocalFileError as error:
        message = str(error)
        raise LocalFileError(message if ESCAPE in message else f"{message}; {ESCAPE}") from error
    raise LocalFileError(f"the manifests of {timestamp} are removed from this host while they are needed; {ESCAPE}")


def _fetch(context: Context, timestamp: str) -> None:
    """Fetch the manifests unless this host has them; after an hour, check that they are still the same."""
    from ..integrity.catalog import FETCHED, Catalog

    with Catalog(context.config.place, timestamp, FETCHED, make=True) as catalog:
        _fetch_into(context, catalog, timestamp)


def _fetch_into(context: Context, catalog: Catalog, timestamp: str) -> None:
    if catalog.is_younger(_FRESH_SECONDS):
        return
    waited = 0.0
    while (lock := catalog.lock()) is None:
        if waited > context.targets.seconds_to_wait():
            raise Unreachable(
                f"the manifests of {timestamp}, which another process of this host fetches, have not arrived in "
                f"{waited:.0f} s"
            )
        time.sleep(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS
        if catalog.is_younger(_FRESH_SECONDS):
            return
    with lock:
        if catalog.is_younger(_FRESH_SECONDS):
            return
        catalog.sweep()
        count = build_catalog(context, catalog, timestamp, store_of_backup(context, timestamp))
        if count is not None:
            context.log.info(f"{timestamp}: the manifests name {count} objects; no setup hook has fetched them here")
        catalog.touch()
