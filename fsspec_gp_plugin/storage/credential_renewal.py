"""Renews the credentials of stores, from a file that another program writes or from a service."""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .contract import Store

# Many streams meet expired credentials at once; one of them obtains new ones for all.
_SECONDS_BETWEEN = 1.0
# A store may take ten minutes to complete an upload.
_LONGEST_REQUEST_SECONDS = 900.0
# Between two tries to obtain new credentials while the old ones are still good.
SECONDS_BETWEEN_TRIES = 20.0
_S = TypeVar("_S", bound="Renewable")


class NoTokenError(Exception):
    """The service does not know the identity, or refuses it a token."""


class NoTokenYetError(Exception):
    """The service that issues tokens does not answer, or has none at the moment."""


def within(seconds: float, action: Callable[[], None]) -> None:
    """Run an action that may never end in a thread of its own. Raises NoTokenYetError after so many seconds."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, name="credentials", daemon=True).start()
    except RuntimeError:  # the system gives no more threads
        run()
    if not ended.wait(seconds):
        raise NoTokenYetError(f"nothing came in {seconds:.0f} s")
    if failed:
        raise failed[0]


class Renewals:
    """Lets one thread renew one kind of credentials in time, while all others go on with the old ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._not_before = float("-inf")

    def renew(self, is_due: Callable[[], bool], is_good: Callable[[], bool], fetch: Callable[[], None]) -> None:
        """Call `fetch` if the credentials are due; raise its error only if the present ones are no longer good."""
        if not is_due():
            return
        can_wait = is_good()
        if can_wait and time.monotonic() < self._not_before:
            return
        if not self._lock.acquire(blocking=not can_wait):
            return
        try:
            if is_due():
                self._fetch(is_due, is_good, fetch)
        finally:
            self._lock.release()

    def _fetch(self, is_due: Callable[[], bool], is_good: Callable[[], bool], fetch: Callable[[], None]) -> None:
        try:
            fetch()
        except Exception:
            if not is_good():
                raise
        if is_due():
            self._not_before = time.monotonic() + SECONDS_BETWEEN_TRIES


class Renewable:
    """A store that can take over the credentials of a newly opened one. Requests under way end with the old ones.

    `finds_credentials`: the credentials come from files, roles or services, not from the options.
    """

    def __init__(self, *, finds_credentials: bool) -> None:
        self.finds_credentials = finds_credentials
        self._renewing = threading.Lock()
        self._renewed = float("-inf")
        # When connections were replaced, and the function that closes them.
        self._replaced: list[tuple[float, Callable[[], None]]] = []

    def credentials_end(self) -> float | None:
        """Return when the credentials end, in seconds since 1970; None if it is unknown or they are renewed before."""
        return None

    def renew(self, make: Callable[[], Store]) -> None:
        """Take over the credentials of a store that `make` opens for the same objects, unless that was just done.

        Raises the errors of `make`.
        """
        with self._renewing:
            if time.monotonic() - self._renewed < _SECONDS_BETWEEN:
                return
            fresh = make()
            if not isinstance(fresh, type(self)):
                fresh.close()
                return
            now = self._renewed = time.monotonic()
            # What was replaced just now stays open: requests may be under way there.
            self._replaced.append((now, self._take_over(fresh)))
            due = []
            while now - self._replaced[0][0] > _LONGEST_REQUEST_SECONDS:
                due.append(self._replaced.pop(0)[1])
        for close in due:
            close()

    def _take_over(self: _S, fresh: _S) -> Callable[[], None]:
        """Use the connections and credentials of `fresh` from now on; return a function that closes the old ones."""
        raise NotImplementedError

    def _close_replaced(self) -> None:
        """Close all connections that were replaced; called by close()."""
        for _, close in self._replaced:
            close()


# The variable that names the file, and its default place. A directory changes when its entries do.
_PLACES = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("BOTO_CONFIG", "~/.boto"),
    ("", "/etc/boto.cfg"),
    ("FSSPEC_CONFIG_DIR", "~/.config/fsspec"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "~/.config/gcloud/application_default_credentials.json"),
    ("", "~/.azure"),
    ("AZURE_CLIENT_CERTIFICATE_PATH", ""),
    ("AZURE_FEDERATED_TOKEN_FILE", ""),
    ("AWS_CA_BUNDLE", ""),
    ("REQUESTS_CA_BUNDLE", ""),
    ("SSL_CERT_FILE", ""),
    ("KRB5CCNAME", ""),
    ("", "~/.ssh"),
    ("", "~/.ssh/known_hosts"),
)


def mark_of(path: str) -> tuple[int, ...] | None:
    """Return a value that changes when the file does; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    file = status.st_dev, status.st_ino
    return (*file, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_uid, status.st_mode)


def marks(options: dict[str, Any]) -> tuple[tuple[int, ...] | None, ...]:
    """Return these values for all files that the storage options name or that the providers' libraries read."""
    return tuple(mark_of(path) for path in (*_looked_for(), *_named(options)))


@lru_cache(maxsize=1)
def _looked_for() -> tuple[str, ...]:
    """Return the paths by the environment of this process, which does not change."""
    paths = (os.environ.get(variable) or place for variable, place in _PLACES)
    return tuple(os.path.expanduser(path) for path in paths if path)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(("/", "~/")):
            yield os.path.expanduser(value)
    elif isinstance(value, dict):
        for child in value.values():
            yield from _named(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from _named(child)
