"""A run's part in the claim of its backup's prefix: the coordinator claims it, every other host must find the claim,
and each leaves its mark. A run that is refused touches nothing from there on.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from .. import keys
from ..backups import claims
from ..backups.lasting import require_lasting
from ..errors import AccessDenied, LocalFileError, NotFound, PluginError, StorageError, Unreachable
from ..integrity import mark, runs
from ..integrity.claim import NAME, new_claim
from ..integrity.cluster import cluster_here
from ..integrity.runs import Run
from ..redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..integrity.claim import Claim
    from ..storage.api import FileStore
    from .context import Context


@contextmanager
def joined_run(context: Context, directory: str, *, is_coordinator: bool) -> Iterator[tuple[str, str]]:
    """Within it this host has claimed the prefix of a backup, or found its claim, and left its mark; yields prefix and
    timestamp. What fails within takes back what was written here, and refuses the run on this host.
    """
    prefix, timestamp = keys.backup_of_directory(directory)
    joining = _Joining(context, prefix, timestamp, keys.local_run(directory)[0])
    try:
        joining.join(is_coordinator=is_coordinator)
        yield prefix, timestamp
        joining.remember()
    except BaseException as error:
        joining.refuse(error)
        raise


class _Joining:
    """One host's way into a run."""

    def __init__(self, context: Context, prefix: str, timestamp: str, data_directory: str) -> None:
        self._context = context
        self._place = context.config.place
        self._prefix = prefix
        self._timestamp = timestamp
        self._directory = data_directory
        # What this call has written, to be taken back if it fails.
        self._written: list[str] = []
        before = runs.read_run(self._place, timestamp)
        self._before = before if before is not None and data_directory in before.directories else None
        self._run: Run | None = None

    def join(self, *, is_coordinator: bool) -> None:
        store = self._context.store
        if is_coordinator:
            if store.capabilities.descriptors:
                cast("FileStore", store).make_root()
            claim, proven = self._claim()
            if not store.capabilities.tested:
                config, name = self._context.config, self._prefix + claim.own_name
                require_lasting(config.path, config.url, name, claim.encoded(), self._place.path)
            self._context.log.info(f"{self._timestamp}: claimed for {claim.cluster}")
            token = claim.token
        else:
            token, proven = self._found(), True
        # The coordinator's host may be a segment host, too, and a host may have several names: it leaves one mark.
        self._run = runs.begin(self._place, self._timestamp, Run(token, mark.new_id(), proven))
        name = self._prefix + mark.name_of(self._run.mark)
        if is_coordinator and self._before is None:
            self._written.append(name)
        with memoryview(mark.content(self._run.mark, token)) as data:
            store.put(name, data)

    def _claim(self) -> tuple[Claim, bool]:
        context, store = self._context, self._context.store
        ours = () if self._before is None else (self._before.claim,)
        found = claims.require_free(store, self._prefix, ours, context.log.info)
        if found is not None and self._before is not None:
            return found, self._before.proven
        options = context.config
        cluster = cluster_here(options.cluster, options.pgport, os.environ, self._directory)
        claim = new_claim(self._timestamp, cluster)
        names = (NAME, claim.own_name)
        self._written += [self._prefix + name for name in names]
        try:
            found, proven = claims.claim_prefix(store, self._prefix, claim, ours, context.log.info)
        except claims.ClaimedError:
            self._written.clear()
            raise
        self._written = [self._prefix + (NAME if proven else claim.own_name)] if found is claim else []
        return found, proven

    def _found(self) -> str:
        """The token of the claim that the coordinator has written; "" where these credentials can't read it."""
        context = self._context
        try:
            return claims.find_claim(context.store, self._prefix, claims.wait_for_others).token
        except AccessDenied as error:
            context.log.info(
                f"these credentials can't read the claim of {self._timestamp}, so nothing tells whether this host "
                f"writes to where the coordinator does: {error}"
            )
            return ""
        except Unreachable:
            raise
        except NotFound:
            raise NotFound(
                f"this host does not see what the coordinator wrote at {scrub(context.config.url)} for backup "
                f"{self._timestamp}: is the share mounted here, is it the same endpoint, bucket and prefix?"
            ) from None

    def remember(self) -> None:
        """The hook has succeeded."""
        if self._run is not None:
            runs.remember(self._place, self._timestamp, replace(self._run, directories=(self._directory,)))

    def refuse(self, error: BaseException) -> None:
        """Take back what this call has written, and let the run's other commands on this host fail."""
        log = self._context.log
        why = str(error) or type(error).__name__
        if self._written:
            try:
                self._context.store.delete(self._written)
                self._context.store.delete_empty_directories(self._prefix)
            except PluginError as left:
                log.info(f"{self._prefix}: what the setup hook has written stays behind: {left}")
        try:
            if self._before is None:
                runs.refuse(self._place, self._timestamp, self._directory, why)
        except LocalFileError as left:
            log.info(str(left))


def require_not_refused(context: Context, path: str) -> None:
    """StorageError for a path in the data directory of a run whose setup hook has failed on this host."""
    directory, timestamp = keys.local_run(path)
    why = runs.read_refusal(context.config.place, timestamp, directory)
    if why is not None:
        raise StorageError(f"the setup of backup {timestamp} has failed, so nothing of it is stored: {why}")


def run_of(context: Context, timestamp: str) -> Run | None:
    """What this host remembers of a run; None where no setup hook has joined it."""
    return runs.read_run(context.config.place, timestamp)


def is_ours(context: Context, prefix: str, directory: str, run: Run | None) -> bool:
    """Whether what lies at the prefix is of this host's run, which has a hook with that directory; where the host knows
    of none, as of one without setup hooks, whether nobody claims it. ClaimedError where another run has claimed the
    prefix, too, which a store that can't create only if absent tells only now.
    """
    if run is None:
        return _is_unclaimed(context, prefix)
    if keys.local_run(directory)[0] not in run.directories:
        return False
    if not run.proven:
        claims.require_only_claim(context.store, prefix, run.claim)
    return True


def _is_unclaimed(context: Context, prefix: str) -> bool:
    try:
        claims.find_claim(context.store, prefix, lambda _: False)
    except NotFound:
        return True
    except StorageError as error:
        context.log.info(f"nothing tells whether {prefix} is claimed: {error}")
    return False
