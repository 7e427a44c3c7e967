"""The steps of `doctor` at the target: reach it, then try each step of a backup and a restore, and measure them.

All objects are written below a prefix that nobody else uses, and deleted at the end, whatever happens.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ...backups.backup_deletion import delete_all
from ...backups.memory_filesystems import require_visible_to_others
from ...backups.probing import unique_name
from ...backups.risks import connection_risks, credential_risks
from ...errors import AccessDenied, NotFound, PluginError, StorageError
from ...redaction import scrub
from ...storage.diagnosis import failed_step, look, may_still_write, meets_no_tls
from ...storage.open import open_store
from ...storage.reading import read_start
from ..open_target import waiting_for
from .encryption import try_encryption
from .trials import MEASURING, TRYING, measure, try_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config.loading import Config
    from ...storage.contract import Store
    from ...storage.retry_policy import RetryPolicy
    from .steps import Step, Steps

FOLDER = "fsspec_gp_plugin_doctor/"
REACHING = ["reach", "credentials", "clock"]
LAST = ["nothing left"]

# A longer outage is reported.
_OUTAGE_SECONDS = 6.0
_LONGEST_STILL = 15.0
# Seconds between the clocks: a warning, and where signed requests fail.
_LARGE_OFFSET, _FATAL_OFFSET = 60.0, 900.0

_NEXT = {
    "name": "check the host in `url` or endpoint, and this host's resolver (`getent hosts NAME`)",
    "TLS": "check the endpoint's certificate, and the certificates that this host trusts",
    "proxy": "check the proxy's address",
    "connection": "check the endpoint's address and port, routes and firewalls of this host",
}

_NO_TLS = "write http:// instead of https:// in the endpoint, or name the port that speaks TLS"


def all_steps(*, quick: bool) -> list[str]:
    """The names of all steps, in order."""
    return [*REACHING, *TRYING, *([] if quick else MEASURING), *LAST]


def try_the_target(steps: Steps, config: Config, *, quick: bool, sees: tuple[str, str, str] | None = None) -> None:
    """Try all steps at the configured target.

    `sees`: the name of a host, the key of an object that it wrote, and the content that this host must find there. A
    missing directory is then not created, as the other host has one.
    """
    with waiting_for(config, _OUTAGE_SECONDS) as policy:
        _try(steps, config, policy, sees, quick=quick)


def _try(steps: Steps, config: Config, policy: RetryPolicy, sees: tuple[str, str, str] | None, *, quick: bool) -> None:
    measuring = [] if quick else MEASURING
    still = min(config.timeout, _LONGEST_STILL)
    try:
        store = open_store(config.url, config.storage_options, timeout=still, policy=policy)
    except PluginError as error:
        steps.failed("reach", error)
        steps.skip([*REACHING[1:], *TRYING, *measuring, *LAST], "the target can't be opened")
        return
    prefix = f"{FOLDER}{unique_name('.')}/"
    try:
        is_reached = _reach(steps, store, f"{prefix}absent", may_make_root=sees is None)
        # Not before: finding the host may need credentials, which are searched for once.
        for risk in connection_risks(store):
            with steps.trying("protection") as step:
                step.warn(*risk.split(": ", 1))
        for risk in credential_risks(store, config):
            with steps.trying("expiry") as step:
                step.warn(*risk.split("; ", 1))
        if not is_reached:
            steps.skip([*TRYING, *measuring, *LAST], "the target can't be used")
            return
        if sees is not None:
            _look_for(steps, store, config, *sees)
        elif not store.capabilities.tested:
            _read_elsewhere(steps, store, config, prefix)
        with _emptied(steps, store, prefix):
            works = try_each(steps, store, prefix)
            try_encryption(steps, store, prefix, config, works=works)
            if works and not quick:
                measure(steps, store, prefix, config)
            elif not quick:
                steps.skip(MEASURING, "the target is not writable")
    finally:
        store.close()


def _look_for(steps: Steps, store: Store, config: Config, host: str, key: str, token: str) -> None:
    """Check that this host sees the object of another host, so that both use the same place."""
    url = scrub(config.url)
    with steps.trying("same place", "mount the share, or correct `url`, endpoint and profile on this host") as step:
        try:
            content = read_start(store, store.stat(key))
        except AccessDenied as error:
            # Credentials that may not list objects are also denied what does not exist.
            if not _reads_its_own(store, key):
                step.warn(
                    f"these credentials can't read, so it is unknown whether {host} writes to the same place: {error}"
                )
                return
            content = b""
        except NotFound:
            content = b""
        if content != token.encode():
            raise StorageError(f"this host does not see what {host} wrote at {url}")
        step.finding = f"this host sees what {host} wrote at {url}"


def _reads_its_own(store: Store, key: str) -> bool:
    """Whether these credentials may read an object of their own beside the key."""
    own = f"{key}-{secrets.token_hex(6)}"
    try:
        store.put(own, memoryview(b"own"))
        store.stat(own)
    except StorageError:
        return False
    finally:
        with suppress(StorageError):
            store.delete([own])
    return True


def _read_elsewhere(steps: Steps, store: Store, config: Config, prefix: str) -> None:
    """For unknown filesystems: check that another process finds an object."""
    with steps.trying("another process") as step:
        data = secrets.token_bytes(64)
        store.put(f"{prefix}elsewhere", memoryview(data))
        try:
            store.stat(f"{prefix}elsewhere")
            require_visible_to_others(
                config.path, config.url, f"{prefix}elsewhere", data, config.place.path, os.environ
            )
        except AccessDenied as error:
            step.warn(f"these credentials can't read: {error}")
            return
        finally:
            with suppress(StorageError):
                store.delete([f"{prefix}elsewhere"])
        step.finding = "another process sees what this one wrote"


def _reach(steps: Steps, store: Store, key: str, *, may_make_root: bool) -> bool:
    """Try to reach the target; returns whether it answers and accepts the credentials."""
    refused: AccessDenied | None = None

    def advice(error: PluginError) -> str:
        if store.files is not None:
            return ""  # the error of a directory says it all
        return _NO_TLS if meets_no_tls(error) else _NEXT.get(failed_step(error), "")

    with steps.trying("reach", advice) as step:
        started = time.monotonic()
        if may_make_root and store.files is not None:
            store.files.make_root()
        try:
            look(store, key)
        except AccessDenied as error:
            refused = error
        except PluginError as error:
            step.figures["failed_at"] = failed_step(error)
            raise
        seconds = time.monotonic() - started
        step.figures["first_answer_seconds"] = round(seconds, 3)
        step.finding = f"answered in {seconds:.2f} s"
    reached = step.status == "ok"
    with steps.trying("credentials", "correct or renew them in storage_options or its file") as step:
        if not reached:
            step.skip("the target can't be reached")
        elif refused is not None and not may_still_write(refused):
            raise refused
        elif refused is not None:
            step.warn(f"they may not check whether an object exists: {refused}", "the next steps show what they may do")
        else:
            step.finding = "accepted"
    accepted = step.status in ("ok", "warning")
    with steps.trying("clock", "set this host's clock, and keep it set by NTP") as step:
        offset = store.clock_offset()
        if offset is None:
            step.skip("the target does not report its time")
        else:
            _compare_clocks(step, offset)
    return accepted and step.status != "failed"


def _compare_clocks(step: Step, offset: float) -> None:
    step.figures["offset_seconds"] = round(offset)
    how = f"this host's clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} the store's"
    if abs(offset) >= _FATAL_OFFSET:
        raise StorageError(f"{how}: the store refuses signed requests")
    if abs(offset) >= _LARGE_OFFSET:
        step.warn(f"{how}: signed requests fail beyond 15 minutes", "set this host's clock, and keep it set by NTP")
    else:
        step.finding = "same as the store's" if abs(offset) < 2 else how


@contextmanager
def _emptied(steps: Steps, store: Store, prefix: str) -> Iterator[None]:
    """Delete everything below the prefix at the end; a step reports it."""
    try:
        yield
    except BaseException:
        with suppress(PluginError):
            delete_all(store, prefix, lambda _: None)
        raise
    with steps.trying("nothing left", f"delete what is below {prefix}") as step:
        try:
            left = delete_all(store, prefix, step.warn)
        except StorageError as error:
            # If the step "delete" has failed, it has reported the reason already.
            if any(one.step == "delete" and one.status == "ok" for one in steps.all):
                raise
            step.warn(f"{prefix} can't be emptied: {error}", f"delete what is below {prefix}")
            return
        step.figures["left"] = left
        if left:
            step.warn(f"{left} leftover object{'s were' if left > 1 else ' was'} deleted only now")
        if _keeps_versions(store, prefix):
            step.warn("the store keeps versions of deleted objects", "let a lifecycle rule of the bucket expire them")
        if step.status == "ok":
            step.finding = f"{prefix} is empty again"


def _keeps_versions(store: Store, prefix: str) -> bool:
    try:
        return store.keeps_versions(prefix)
    except StorageError:
        return False  # unknown: these credentials may not ask
