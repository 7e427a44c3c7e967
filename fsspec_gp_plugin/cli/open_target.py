"""Opens the target for a command for people, and reports in a terminal that it waits for an answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..backups.from_config import open_config_store, renewal
from ..config.loading import Config, load_config, required_replica
from ..errors import UsageError
from ..log import Log, take_over_library_logging
from ..redaction import in_one_line, scrub
from ..storage.diagnosis import passes_hardly
from ..storage.reading import read_start
from ..storage.retry import with_retries
from ..storage.retry_policy import UNATTENDED_SECONDS, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..errors import Unreachable
    from ..storage.contract import Store

_ATTENDED_SECONDS = 30.0
# Most answers come sooner.
_SILENT_SECONDS = 2.0


@contextmanager
def open_target(path: str, *, replica: bool = False, attended: bool = True) -> Iterator[tuple[Config, Store]]:
    """Load a configuration file and open its primary or its replica; messages of libraries go to the log.

    `attended`: a person waits for the answer, so an unreachable store is reported sooner.
    """
    config = load_config(os.path.abspath(path))
    if replica:
        config = required_replica(config)
    take_over_library_logging(Log(verbosity=config.logger_verbosity), keep_streams=True)
    outage = _ATTENDED_SECONDS if attended else UNATTENDED_SECONDS
    bare = open_config_store(config)
    with waiting_for(config, outage, attended=attended) as policy:
        store = with_retries(bare, policy._replace(renew=renewal(config, bare)))
        try:
            yield config, store
        finally:
            store.close()


def read_object(arguments: Sequence[str]) -> int:
    """The command `read-object`: write the first megabyte of an object to standard output; status 0."""
    if len(arguments) != 2:
        raise UsageError("expected CONFIG KEY")
    path, key = arguments
    with open_target(path, attended=False) as (_, store):
        sys.stdout.buffer.write(read_start(store, store.stat(key)))
    return 0


@contextmanager
def waiting_for(config: Config, outage: float, *, attended: bool = True) -> Iterator[RetryPolicy]:
    """Yields the retry policy of a command for people, which waits up to `outage` seconds for the target.

    If it is `attended`, an error that rarely passes within seconds is reported at once, as long as the target has never
    answered. In a terminal, one line says what the command waits for.
    """
    waiting = _Waiting(f"waiting for {config.url}, up to {outage:.0f} s", outage)
    if config.url.partition("://")[0] not in ("file", "local"):
        waiting.begin("no answer yet")
    try:
        yield RetryPolicy(
            outage,
            config.max_retries,
            note=waiting.begin,
            is_hopeless=waiting.is_hopeless if attended else lambda _: False,
            reached=waiting.reached,
        )
    finally:
        waiting.end()


class _Waiting:
    """Prints one line on standard error, if that is a terminal, when the target is silent for some seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        """The message is printed at most once in so many seconds."""
        self._message = message
        self._seconds = seconds
        self._lock = threading.Lock()
        self._has_answered = False
        self._reason = ""
        self._printed = float("-inf")
        self._timer: threading.Timer | None = None

    def is_hopeless(self, error: Unreachable) -> bool:
        return not self._has_answered and passes_hardly(error) != ""

    def begin(self, reason: str) -> None:
        """Print the message soon, unless an answer comes."""
        self._reason = reason
        with self._lock:
            if self._timer is None and sys.stderr.isatty():
                self._timer = threading.Timer(_SILENT_SECONDS, self._print)
                self._timer.daemon = True
                self._timer.start()

    def _print(self) -> None:
        if (now := time.monotonic()) - self._printed >= self._seconds:
            self._printed = now
            sys.stderr.write(in_one_line(scrub(f"{self._message}: {self._reason}")) + "\n")
            sys.stderr.flush()

    def reached(self) -> None:
        self._has_answered = True
        self.end()

    def end(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            with self._lock:
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
