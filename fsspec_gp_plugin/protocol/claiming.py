"""A run's part in the claim of its backup's prefix: the coordinator claims it, every other host must find the claim,
and each leaves its mark. A run that is refused touches nothing from there on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..backups import claim_reading, claim_writing
from ..backups.memory_filesystems import require_visible_to_others
from ..errors import AccessDenied, LocalFileError, NotFound, PluginError, StorageError
from ..integrity import marks, run_state
from ..integrity.claim import SETTLED, new_claim
from ..integrity.cluster import cluster_here
from ..integrity.run_state import Run
from ..redaction import scrub
from ..storage.reading import fetch_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..integrity.claim import Claim, Encryption
    from .context import Context


# gpbackup calls the setup hooks of all hosts one right after the other.
_SAME_RUN_SECONDS = 600.0


@contextmanager
def join_run(
    context: Context, directory: str, *, is_coordinator: bool, prove: Callable[[], Encryption | None] = lambda: None
) -> Iterator[bool]:
    """Within it this host has claimed the prefix of a backup, or found its claim, and left its mark; yields whether it
    is the first time that a hook of this run does so on this host. What fails within takes back what was written here,
    and refuses the run on this host, as does `prove`, which says to whom this host encrypts.
    """
    prefix, timestamp = keys.backup_of_directory(directory)
    joining = _Joining(context, prefix, timestamp, keys.local_run(directory)[0])
    try:
        joining.encryption = prove()
        is_first = is_coordinator or not joining.join_known()
        if is_first:
            joining.join(is_coordinator=is_coordinator)
        yield is_first
        context.require_not_interrupted()
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
        before = run_state.read_run(self._place, timestamp)
        self._before = before if before is not None and data_directory in before.directories else None
        self._run: Run | None = None
        self.encryption: Encryption | None = None
        # What this call takes back if it fails: its claim, if it has tried to write one, and other objects.
        self._claim: Claim | None = None
        self._is_claimed = False
        self._written: list[str] = []

    def join_known(self) -> bool:
        """Whether another hook of this host has just joined the run: the target is not asked again. Where two runs may
        have claimed the prefix, each hook looks.
        """
        if not self._context.store.capabilities.creates:
            return False
        self._run = run_state.find_recent_run(self._place, self._timestamp, _SAME_RUN_SECONDS)
        # With other recipients it looks for the claim, and is refused by what that says.
        return self._run is not None and self._run.proven and self._run.encryption == self.encryption

    def join(self, *, is_coordinator: bool) -> None:
        if self._before is None:
            # Noted first: a hook that is killed refuses the run, too, and so does one that could not note why it fails.
            run_state.refuse_run(
                self._place, self._timestamp, self._directory, "its setup hook did not come to its end"
            )
        token, proven = self._claimed() if is_coordinator else (self._found(), True)
        # The coordinator's host may be a segment host, too, and a host may have several names: it leaves one mark.
        process = self._context.gpbackup
        self._run = run_state.begin_run(
            self._place,
            self._timestamp,
            Run(token, marks.new_mark_id(), proven, process=process, encryption=self.encryption),
        )
        name = self._prefix + marks.host_mark_name(self._run.mark)
        if self._claim is not None:
            self._written.append(name)
        data = marks.host_mark_content(self._run.mark, token)
        with memoryview(data) as view:
            self._context.store.put(name, view)
        if not token:
            self._require_unreadable(name)

    def _claimed(self) -> tuple[str, bool]:
        """The token of this run's claim, written or found, and whether the store has proven it."""
        context, store = self._context, self._context.store
        if store.files is not None:
            store.files.make_root()
        ours = () if self._before is None else (self._before.claim,)
        options = context.config
        cluster = cluster_here(options.cluster, options.pgport, context.environment, self._directory)
        found = claim_reading.require_free(store, self._prefix, cluster, ours, context.log.info)
        if found is not None and self._before is not None:
            self._require_same_encryption(found)
            return found.token, self._before.proven
        self._claim = new_claim(self._timestamp, cluster, context.gpbackup, self.encryption)
        try:
            found, proven = claim_writing.claim_prefix(store, self._prefix, self._claim, ours, context.log.info)
        except claim_writing.UnreadableClaimError:
            if self._before is None:
                raise
            return self._before.claim, self._before.proven  # it was this run's when the hook was called before
        if found is self._claim:
            self._is_claimed = True
            self._require_lasting(found)
        else:
            self._claim = None
            self._require_same_encryption(found)
        context.log.info(f"{self._timestamp}: claimed for {found.cluster}")
        return found.token, proven

    def _require_lasting(self, claim: Claim) -> None:
        config, store, key = self._context.config, self._context.store, self._prefix + SETTLED
        if store.capabilities.tested:
            return
        try:
            claim_reading.read_claim(store, key)
        except AccessDenied as error:
            self._context.log.info(
                f"these credentials can't read, so nothing tells whether others find what this process wrote: {error}"
            )
            return
        environment = self._context.environment
        require_visible_to_others(config.path, config.url, key, claim.encode(), self._place.path, environment)

    def _found(self) -> str:
        """The token of the claim that the coordinator has written; "" where reading it is denied."""
        try:
            found = claim_reading.find_claim(self._context.store, self._prefix, claim_reading.wait_for_others)
        except AccessDenied:
            return ""
        except NotFound:
            raise self._not_seen() from None
        self._require_same_encryption(found)
        return found.token

    def _require_same_encryption(self, claim: Claim) -> None:
        from ..backups.backup_keys import require_same_encryption

        require_same_encryption(self.encryption, claim)

    def _require_unreadable(self, name: str) -> None:
        """Reading the claim was denied. Who may read objects and not list them is denied also what is not there."""
        context = self._context
        if context.store.capabilities.creates:
            try:
                fetch_small(context.store, name, 1)
            except StorageError:
                pass
            else:
                raise self._not_seen()
        context.log.info(
            f"these credentials can't read the claim of {self._timestamp}, so nothing tells whether this host writes "
            "to where the coordinator does"
        )

    def _not_seen(self) -> NotFound:
        return NotFound(
            f"this host does not see what the coordinator wrote at {scrub(self._context.config.url)} for backup "
            f"{self._timestamp}: is the share mounted here, is it the same endpoint, bucket and prefix?"
        )

    def remember(self) -> None:
        """The hook has succeeded."""
        if self._run is not None:
            run_state.remember_run(self._place, self._timestamp, self._run._replace(directories=(self._directory,)))

    def refuse(self, error: BaseException) -> None:
        """Let the run's other commands on this host fail, and take back what this call has written."""
        log = self._context.log
        try:
            if self._before is None:
                why = scrub(str(error)) or type(error).__name__
                run_state.refuse_run(self._place, self._timestamp, self._directory, why)
        except LocalFileError as left:
            log.info(str(left))
        try:
            store, written = self._context.store, self._written
            if self._claim is not None:
                written += claim_writing.withdraw_claim(store, self._prefix, self._claim, is_written=self._is_claimed)
            if written:
                store.delete(written)
                store.delete_empty_directories(self._prefix)
        except PluginError as left:
            log.info(f"{self._prefix}: what the setup hook has written stays behind: {left}")


def require_not_refused(context: Context, path: str) -> Run | None:
    """StorageError for a path in the data directory of a run whose setup hook has not succeeded on this host. Returns
    the run that a setup hook has joined here.
    """
    directory, timestamp = keys.local_run(path)
    why, run = run_state.read_standing(context.config.place, timestamp, directory)
    if why is not None:
        raise StorageError(f"the setup of backup {timestamp} has failed, so nothing of it is stored: {why}")
    return run


def run_of(context: Context, directory: str) -> Run | None:
    """What this host remembers of the run that a hook with that directory belongs to; None where no setup hook has
    joined it. StorageError where another run of that timestamp was refused here, and the hook may be that one's.
    """
    data_directory, timestamp = keys.local_run(directory)
    place = context.config.place
    run = run_state.read_run(place, timestamp)
    if run is not None and data_directory not in run.directories and run_state.has_refusal(place, timestamp):
        raise StorageError(
            f"another run of {timestamp} was refused on this host, and {data_directory} does not belong to this one"
        )
    return run


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
        claim_reading.require_only_claim(context.store, prefix, run.claim)
    return True


def _is_unclaimed(context: Context, prefix: str) -> bool:
    try:
        claim_reading.find_claim(context.store, prefix, lambda _: False)
    except NotFound:
        return True
    except StorageError as error:
        context.log.info(f"nothing tells whether {prefix} is claimed: {error}")
    return False
