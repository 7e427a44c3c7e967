"""Setup and cleanup, which gpbackup and gprestore call on every host before and after the data flows.

What can be known to fail must fail here: a restore_data that fails later makes gprestore hang.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from .. import keys
from ..backups.backup_deletion import abort_unfinished
from ..backups.claim_reading import find_claim
from ..backups.probing import probe
from ..backups.risks import config_risks, connection_risks, credential_risks
from ..errors import Interrupted, LocalFileError, NotFound, StorageError, UsageError
from ..integrity import run_state
from ..integrity.locking import try_lock
from ..integrity.restore_state import read_needed
from .claiming import is_ours, join_run, require_not_refused, run_of
from .comparing import release_manifests
from .decrypting import prove_data_opening
from .encrypting import prove_recipients
from .incremental import require_base_opens
from .journaling import begin_journal, require_catalogs, store_manifest
from .presence import require_backup
from .restore_source import choose_source, remove_choice
from .restoring import join_confirmed, require_objects, require_restorable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..integrity.claim import Encryption
    from ..storage.contract import Store
    from .context import Context

# "master" and "coordinator" mean the same; both run before the segment hosts, which run before the segments.
_COORDINATOR_SCOPES = ("master", "coordinator")
_HOST_SCOPES = (*_COORDINATOR_SCOPES, "segment_host")
_SCOPES = (*_HOST_SCOPES, "segment")

# The hooks of a host take turns by locks in this directory.
_DIRECTORY = "hooks"
_PAUSE_SECONDS = 0.01
# Of more dead runs, the others are left to the backups after this one.
_MOST_DEAD_RUNS = 4


def setup_plugin_for_backup(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Claim the backup's prefix, or find the claim, and prove that the target can be written: once a host."""
    prefix, timestamp = _checked(directory, scope, content)
    # Configuration errors show in every scope; the requests are made once a host.
    _ = context.store
    is_coordinator = scope in _COORDINATOR_SCOPES

    def prove() -> Encryption | None:
        encryption = prove_recipients(context.config)
        if encryption is not None and is_coordinator:
            require_base_opens(context)
        return encryption

    if scope in _HOST_SCOPES:
        require_catalogs(context)
        with (
            _report_risks(context, scope),
            take_turn(context, timestamp),
            join_run(context, directory, is_coordinator=is_coordinator, prove=prove) as is_first,
        ):
            if is_first:
                begin_journal(context, timestamp)
                probe(context.store, prefix, context.log.info, context.log.warning if is_coordinator else None)
        if is_coordinator:
            abort_uploads_of_dead_runs(context, keys.local_run(directory)[0])
    else:
        prove()
    _log_success(context, timestamp, scope, content)


def setup_plugin_for_restore(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Prove, once a host, that the target can be read and the backup is there, and fetch what restores compare; of
    each segment, that all its objects are there.
    """
    prefix, timestamp = _checked(directory, scope, content)
    if context.config.replica is None:
        _ = context.store  # configuration errors show in every scope
    if scope in _HOST_SCOPES:
        with _report_risks(context, scope), take_turn(context, timestamp):
            context.require_not_interrupted()
            if scope in _COORDINATOR_SCOPES or not join_confirmed(context, timestamp):
                choose_source(context, timestamp, lambda store: require_backup(context, store, prefix, timestamp))
                require_restorable(context, timestamp, is_coordinator=scope in _COORDINATOR_SCOPES)
            try:
                context.require_not_interrupted()
            except Interrupted:
                release_manifests(context, timestamp)  # no cleanup hook will come
                raise
    elif content:
        require_objects(context, timestamp, _unquoted(content))
        if int(_unquoted(content)) >= 0:
            prove_data_opening(context, read_needed(context.config.place, timestamp))
    _log_success(context, timestamp, scope, content)


def cleanup_plugin_for_backup(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Store this host's manifest, and take back the uploads of processes that were killed, once a host: nothing of a
    run that was refused, whose prefix is another's.
    """
    prefix, timestamp = _checked(directory, scope, content)
    if scope in _HOST_SCOPES:
        require_not_refused(context, directory)
        with take_turn(context, timestamp):
            _end_run(context, directory, prefix, timestamp)
    _log_success(context, timestamp, scope, content)


def _end_run(context: Context, directory: str, prefix: str, timestamp: str) -> None:
    """Store the manifest and abort left uploads. A failure to abort is logged only: the backup has ended by now."""
    run = run_of(context, directory)
    is_stored = store_manifest(context, prefix, timestamp, run)
    if not is_ours(context, prefix, directory, run):
        context.log.info(f"{timestamp}: no setup hook of this run has succeeded on this host, so nothing is removed")
        return
    if run is not None and not is_stored:
        return  # an earlier hook of this host has looked for them
    try:
        abort_unfinished(context.store, prefix, context.log.info)
    except StorageError as error:
        context.log.info(f"unfinished uploads could not be looked for: {error}")


def cleanup_plugin_for_restore(context: Context, directory: str, scope: str, content: str = "") -> None:
    """Remove what setup has fetched; every other command cleans up after itself."""
    _, timestamp = _checked(directory, scope, content)
    if scope in _HOST_SCOPES:
        with take_turn(context, timestamp):
            release_manifests(context, timestamp)
            remove_choice(context)
    _log_success(context, timestamp, scope, content)


def _checked(directory: str, scope: str, content: str) -> tuple[str, str]:
    """Return the backup's prefix and timestamp."""
    if scope not in _SCOPES:
        raise UsageError(f"unknown scope {scope!r}: expected {', '.join(_SCOPES)}")
    if content and not re.fullmatch(r"-?[0-9]+", _unquoted(content)):
        raise UsageError(f"{content!r} is not a content id: expected a number such as -1 or 0")
    return keys.backup_of_directory(directory)


@contextmanager
def _report_risks(context: Context, scope: str) -> Iterator[None]:
    """Log a line for each risk, whether the hook succeeds or not; the risks of the file on the coordinator alone."""
    if scope != "segment_host":
        for risk in config_risks(context.config):
            context.log.warning(risk)
    try:
        yield
    except Exception:  # not a signal, which leaves no time
        _report_risks_of_stores(context)
        raise
    _report_risks_of_stores(context)


def _report_risks_of_stores(context: Context) -> None:
    for is_replica, store in context.targets.opened().items():
        of, config = ("replica_url: ", context.config.replica) if is_replica else ("", context.config)
        for risk in (*connection_risks(store, of), *credential_risks(store, config or context.config, of)):
            context.log.warning(risk)


def _log_success(context: Context, timestamp: str, scope: str, content: str) -> None:
    context.log_success(f"{timestamp} {scope} {_unquoted(content)}".rstrip())


def _unquoted(content: str) -> str:
    """Return the content id without the double quotes in which it arrives on the coordinator."""
    return content.strip('"')


def abort_uploads_of_dead_runs(context: Context, directory: str) -> None:
    """Abort uploads that killed runs of this cluster left unfinished; this host remembers the runs from their setup
    hooks. Objects stay: `cleanup` removes them. No failure fails the hook.
    """
    place, log = context.config.place, context.log
    try:
        dead = [
            (timestamp, run)
            for timestamp, run in run_state.find_unfinished_runs(place)
            if directory in run.directories and run.process is not None and run.process.has_ended()
        ]
        for timestamp, run in dead[:_MOST_DEAD_RUNS]:
            log.info(f"{timestamp}: its gpbackup has ended and called no cleanup hook; `cleanup` removes what it left")
            _abort_uploads(context, context.store, keys.backup_prefix(timestamp), run.claim)
            run_state.remember_run(place, timestamp, run._replace(taken_back=True))
    except (LocalFileError, StorageError) as error:
        log.info(f"what earlier backups have left unfinished was not taken back: {error}")


def _abort_uploads(context: Context, store: Store, prefix: str, claim: str) -> None:
    try:
        if find_claim(store, prefix, lambda _: False).token != claim:
            return
    except NotFound:
        return  # somebody has removed it
    abort_unfinished(store, prefix, context.log.info)
    working = [info.key for info in store.find(prefix, unfinished=True) if keys.is_unfinished(info.key)]
    if working:
        store.delete(working)
        context.log.info(f"{len(working)} working files below {prefix} removed")


@contextmanager
def take_turn(context: Context, timestamp: str) -> Iterator[None]:
    """Let only one hook of a backup run at a time on this host: the second finds what the first did. Where the host
    can't keep a lock, each hook does everything itself.
    """
    place = context.config.place
    try:
        directory = place.open_directory(_DIRECTORY, make=True)
    except LocalFileError as error:
        context.log.verbose(f"hooks don't take turns on this host: {error}")
        yield
        return
    name = place.name_of(timestamp)
    try:
        with _lock(context, directory, name):
            yield
    finally:
        os.close(directory)


@contextmanager
def _lock(context: Context, directory: int, name: str) -> Iterator[None]:
    try:
        while (lock := try_lock(directory, name)) is None:
            context.require_not_interrupted()
            time.sleep(_PAUSE_SECONDS)
    except OSError as error:  # as on a network file system without locks
        context.log.verbose(f"hooks don't take turns on this host: {error}")
        lock = nullcontext()
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
