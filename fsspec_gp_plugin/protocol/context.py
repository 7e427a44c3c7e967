"""What one call of a command works with: its descriptors, log, configuration and store."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..backups.settings import download_settings, upload_settings
from ..commands import COMMANDS
from ..config.units import format_size
from ..errors import LocalFileError, PluginError
from ..storage.retry_policy import UNATTENDED_SECONDS
from ..transfer.download import Download
from ..transfer.finish import heeding, start_or_run
from ..transfer.relay import Relay
from ..transfer.upload import Upload
from .supplies import Supplies
from .targets import OUTAGE_SECONDS, Targets
from .working_files import WorkingFiles, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..config.loading import Config
    from ..gpbackup_process import GpbackupProcess
    from ..log import Log
    from ..process import Streams
    from ..storage.contract import ObjectInfo, Store
    from ..transfer.download import Downloaded, DownloadSettings
    from ..transfer.upload import UploadSettings

_T = TypeVar("_T")
_NOT_IN_TIME = "an unfinished upload could not be removed in time"


class Context:
    """Configuration and store are made on first use, so that a command pays for what it needs."""

    def __init__(
        self,
        streams: Streams,
        log: Log,
        command: str,
        config_path: str,
        store: Store | None = None,
        *,
        supplies: Supplies | None = None,
    ) -> None:
        """A `store` given here is used instead of the configured one."""
        self.streams = streams
        self.log = log
        self.command = command
        self.left_behind: list[str] = []
        self.finished = self.has_given_bytes = False
        self._config_path = config_path
        self._config: Config | None = None
        self._supplies = supplies or Supplies()
        self._given = self._store = store
        self.targets = Targets(lambda: self.config, self._supplies, log.info, restores=command.startswith("restore_"))
        self._started = time.monotonic()
        # Guards what follows: several threads may send and fetch while the main thread closes.
        self._lock = threading.Lock()
        self._closing = self._closed = False
        self._uploads: set[Upload | Relay] = set()
        self._working_files = WorkingFiles()

    @property
    def config(self) -> Config:
        """The configuration; ConfigError when it can't be used."""
        if self._config is None:
            self._config = self._supplies.config(self._config_path, self.log)
        return self._config

    @property
    def store(self) -> Store:
        """The store of the configured URL. To be used once before other threads use it."""
        if self._store is None:
            self._store = self.targets.first(self.outage)
        return self._store

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of whoever called the command."""
        return self._supplies.environment

    @property
    def gpbackup(self) -> GpbackupProcess | None:
        """The gpbackup or gprestore that called the command; None where it is not an ancestor, as on other hosts."""
        from ..gpbackup_process import gpbackup_above

        return gpbackup_above(self._supplies.pid)

    @property
    def outage(self) -> float:
        """How many seconds the command waits for a store that is away."""
        return OUTAGE_SECONDS if COMMANDS[self.command].is_patient else UNATTENDED_SECONDS

    @property
    def patient_store(self) -> Store:
        """The store, for what is wanted however long it is away, also by a command that else doesn't wait for it."""
        return self._given or self.targets.first(OUTAGE_SECONDS)

    @property
    def upload_settings(self) -> UploadSettings:
        """How one stream is sent."""
        return upload_settings(self.config)

    @property
    def download_settings(self) -> DownloadSettings:
        """How one stream is fetched."""
        return download_settings(self.config)

    def done(self, what: str, size: int | None = None, crc32c: int | None = None, note: str = "") -> None:
        """Write the command's line to the log: what was done, its bytes, seconds and rate, its checksum; a note.

        From here on the command has succeeded, and a signal comes too late to change that.
        """
        self.finished = True
        seconds = time.monotonic() - self._started
        rate = ""
        if size is not None:
            rate = f": {size} bytes in {seconds:.3f} s, {format_size(size / max(seconds, 1e-6))}/s"
            rate += "" if crc32c is None else f", crc32c {crc32c:08x}"
        rate += note and f", {note}"
        self.log.info(f"{self.command} {what}{rate}")

    def say(self, text: str) -> None:
        """Show a person a line on standard output."""
        from ..transfer.descriptor_io import write_all

        write_all(self.streams.stdout, (text + "\n").encode(errors="surrogateescape"))

    def send(self, source: int, key: str, settings: UploadSettings | None = None) -> ObjectInfo:
        """Store what a descriptor yields, whole or not at all. May be called from several threads."""
        upload = Upload(
            self.store,
            key,
            settings or self.upload_settings,
            self._note_left_behind,
            alarm=self._supplies.alarm,
            memory=self._supplies.memory,
            tell=self.log.info,
        )
        with self._registered(upload):
            return upload.run(source)

    @contextmanager
    def _registered(self, upload: Upload | Relay) -> Iterator[None]:
        """It is aborted when the command ends before it."""
        with self._lock:
            if self._closing:
                raise PluginError("the command has ended")
            self._uploads.add(upload)
        try:
            yield
        finally:
            with self._lock:
                self._uploads.discard(upload)

    def relay(
        self,
        source: Store,
        target: Store,
        key: str,
        settings: tuple[DownloadSettings, UploadSettings],
        expected: ObjectInfo | None,
    ) -> ObjectInfo:
        """Copy an object from one store to another, whole or not at all. May be called from several threads."""
        relay = Relay(source, target, key, settings, self._note_left_behind)
        with self._registered(relay):
            return relay.run(expected)

    def send_file(self, path: str, key: str, settings: UploadSettings | None = None) -> ObjectInfo:
        """Store one local file under a key."""
        with reading(path) as fd:
            return self.send(fd, key, settings)

    def download(self, store: Store, sink: int, settings: DownloadSettings | None = None) -> Download:
        """What writes an object of a store, or spans of it, to a descriptor."""
        return Download(
            store,
            sink,
            settings or self.download_settings,
            alarm=self._supplies.alarm,
            memory=self._supplies.memory,
            begun=self._note_first_byte,
            tell=self.log.info,
        )

    def _note_first_byte(self) -> None:
        self.has_given_bytes = True
        self._supplies.note_first_byte()

    def fetch_file(
        self,
        store: Store,
        key: str,
        path: str,
        settings: DownloadSettings | None = None,
        expected: ObjectInfo | None = None,
    ) -> Downloaded:
        """Fetch an object of a store to a local path through a working name beside it: whole or not at all.

        The file is for this user only. What is not as `expected` never gets the path.
        """
        with self._working_files.replacing(path) as fd:
            fetched = self.download(store, fd, settings).whole(key, expected)
            if os.fstat(fd).st_size != fetched.size:
                raise LocalFileError(f"can't write {path}: {os.fstat(fd).st_size} bytes arrived of {fetched.size}")
        return fetched

    def wait_for(self, work: Callable[[], _T]) -> _T:
        """The result of work that may wait. A signal ends the waiting; in the agent the work then goes on alone."""
        return heeding(self._supplies.alarm, work)

    def require_wanted(self) -> None:
        """Interrupted where a signal has come, or the agent's client is gone."""
        if self._supplies.alarm is not None:
            self._supplies.alarm.check()

    def close(self, seconds: float) -> None:
        """Take back what other threads have not finished, within so many seconds, and let go of connections.

        May be repeated, as when a signal interrupts it.
        """
        with self._lock:
            self._closing = True
            uploads = list(self._uploads)
        self._working_files.close()
        aborted = [threading.Event() for _ in uploads]

        def abort(upload: Upload | Relay, ended: threading.Event) -> None:
            upload.abort(PluginError("the command has ended"))
            ended.set()

        for upload, ended in zip(uploads, aborted, strict=True):
            start_or_run(partial(abort, upload, ended))
        deadline = time.monotonic() + seconds
        for ended in aborted:
            if not ended.wait(max(0, deadline - time.monotonic())):
                self._note_left_behind(_NOT_IN_TIME)
                break
        self._closed = True
        self._working_files.remove()
        self.targets.close()

    def last_words(self) -> None:
        """Before a process ends at once: no working file stays, and what is being taken back counts as left behind."""
        # It takes no lock and waits for nothing.
        if self._uploads and not self._closed:
            self.left_behind.append(_NOT_IN_TIME)
        self._working_files.remove()

    def _note_left_behind(self, text: str) -> None:
        self.left_behind.append(text)
        self.log.error(text)
