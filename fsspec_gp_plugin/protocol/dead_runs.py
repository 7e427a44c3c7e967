"""Runs of this cluster whose gpbackup was killed: the next backup takes back the uploads that their streams have left.

Which they are this host remembers from their setup hooks, so nothing is asked of the store where there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import keys
from ..backups.backup_deletion import abort_unfinished
from ..backups.claim_reading import find_claim
from ..errors import LocalFileError, NotFound, StorageError
from ..integrity import run_state

if TYPE_CHECKING:
    from ..storage.contract import Store
    from .context import Context

# Of several, the others are left to the backups after this one.
_MOST = 4


def abort_uploads_of_dead_runs(context: Context, directory: str) -> None:
    """Take back what dead runs of the cluster with that data directory on this host have left unfinished. Objects stay:
    `cleanup` removes them. Nothing that goes wrong fails the hook.
    """
    place, log = context.config.place, context.log
    try:
        dead = [
            (timestamp, run)
            for timestamp, run in run_state.find_unfinished_runs(place)
            if directory in run.directories and run.process is not None and run.process.has_ended()
        ]
        for timestamp, run in dead[:_MOST]:
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
