"""The context of one call of a command: its descriptors, log, configuration and stores."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..backups.from_config import download_settings, upload_settings
from ..config.values import format_size
from ..errors import LocalFileError, PluginError
from ..transfer.download import Download
from ..transfer.finish import run_in_background, run_interruptibly
from ..transfer.relay import Relay
from ..transfer.upload import Upload
from .encrypting import Encrypting
from .targets import OUTAGE_SECONDS, Resources, Targets
from .working_files import WorkingFiles, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..age.opening import Opening
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
    """Configuration and stores are opened on first use, so that a command pays only for what it needs."""

    def __init__(
        self,
        streams: Streams,
        log: Log,
        command: str,
        config_path: str,
        store: Store | None = None,
        *,
        resources: Resources | None = None,
    ) -> None:
        """A `store` given here is used instead of the configured one."""
        self.streams = streams
        self.log = log
        self.command = command
        self.left_behind: list[str] = []
        self.finished = self.has_given_bytes = False
        self._config_path = config_path
        self._config: Config | None = None
        self._resources = resources or Resources()
        self._given = self._store = store
        self.targets = Targets(lambda: self.config, self._resources, log.info, command)
        self._encrypting = Encrypting(lambda: self.config, lambda: self.store, self.wait_for)
        self._started = time.monotonic()
        # Guards what follows: several threads may send and fetch while the main thread closes.
        self._lock = threading.Lock()
        self._closing = self._closed = False
        self._uploads: set[Upload | Relay] = set()
        self._working_files = WorkingFiles()

    @property
    def config(self) -> Config:
        """The configuration. Raises ConfigError if it can't be used."""
        if self._config is None:
            self._config = self._resources.config(self._config_path, self.log)
        return self._config

    @property
    def store(self) -> Store:
        """The store of the configured URL. Use it once before other threads do."""
        if self._store is None:
            self._store = self.targets.primary()
        return self._store

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables of the caller."""
        return self._resources.environment

    @property
    def gpbackup(self) -> GpbackupProcess | None:
        """The gpbackup or gprestore that called the command; None if it is not an ancestor, as on other hosts."""
        from ..gpbackup_process import gpbackup_above

        return gpbackup_above(self._resources.pid)

    @property
    def patient_store(self) -> Store:
        """The store with long retries, even in a command that otherwise doesn't wait for it."""
        return self._given or self.targets.primary(OUTAGE_SECONDS)

    @property
    def upload_settings(self) -> UploadSettings:
        """The settings of one upload."""
        return upload_settings(self.config)

    @property
    def download_settings(self) -> DownloadSettings:
        """The settings of one download."""
        return download_settings(self.config)

    def log_success(self, what: str, size: int | None = None, crc32c: int | None = None, note: str = "") -> None:
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

    def print_line(self, text: str) -> None:
        """Print a line for people on standard output."""
        from ..transfer.descriptor_io import write_all

        write_all(self.streams.stdout, (text + "\n").encode(errors="surrogateescape"))

    def send(self, source: int, key: str, settings: UploadSettings | None = None) -> ObjectInfo:
        """Store what a descriptor yields, whole or not at all. May be called from several threads."""
        upload = Upload(
            self.store,
            key,
            settings or self.upload_settings,
            self._note_left_behind,
            seal=self._encrypting.seal(key),
            alarm=self._resources.alarm,
            memory=self._resources.memory,
            log=self.log.info,
        )
        with self._registered(upload):
            return upload.run(source)

    @contextmanager
    def _registered(self, upload: Upload | Relay) -> Iterator[None]:
        """Abort the upload if the command ends first."""
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

    def download(
        self, store: Store, sink: int, settings: DownloadSettings | None = None, opening: Opening | None = None
    ) -> Download:
        """Return the Download that writes an object, or ranges of it, to a descriptor, opened where told how."""
        return Download(
            store,
            sink,
            settings or self.download_settings,
            opening=opening,
            alarm=self._resources.alarm,
            memory=self._resources.memory,
            on_first_byte=self._note_first_byte,
            log=self.log.info,
        )

    def _note_first_byte(self) -> None:
        self.has_given_bytes = True
        self._resources.note_first_byte()

    def fetch_file(
        self,
        store: Store,
        key: str,
        path: str,
        settings: DownloadSettings | None = None,
        expected: ObjectInfo | None = None,
        opening: Opening | None = None,
    ) -> Downloaded:
        """Fetch an object of a store to a local path through a working name beside it: whole or not at all.

        The file is for this user only. What is not as `expected` never gets the path.
        """
        with self._working_files.replacing(path) as fd:
            fetched = self.download(store, fd, settings, opening).write_whole(key, expected)
            if os.fstat(fd).st_size != fetched.size:
                raise LocalFileError(f"can't write {path}: {os.fstat(fd).st_size} bytes arrived of {fetched.size}")
        return fetched

    def wait_for(self, work: Callable[[], _T]) -> _T:
        """Return the result of work that may wait. A signal ends the wait; in the agent the work then goes on alone."""
        return run_interruptibly(self._resources.alarm, work)

    def require_not_interrupted(self) -> None:
        """Raise Interrupted if a signal has come or the agent's client is gone."""
        if self._resources.alarm is not None:
            self._resources.alarm.check()

    def close(self, seconds: float) -> None:
        """Abort what other threads have not finished, within so many seconds, and close connections.

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
            run_in_background(partial(abort, upload, ended))
        deadline = time.monotonic() + seconds
        for ended in aborted:
            if not ended.wait(max(0, deadline - time.monotonic())):
                self._note_left_behind(_NOT_IN_TIME)
                break
        self._closed = True
        self._working_files.remove()
        self.targets.close()

    def end_at_once(self) -> None:
        """Remove working files and report unfinished aborts, before the process ends at once."""
        # It takes no lock and waits for nothing.
        if self._uploads and not self._closed:
            self.left_behind.append(_NOT_IN_TIME)
        self._working_files.remove()

    def _note_left_behind(self, text: str) -> None:
        self.left_behind.append(text)
        self.log.error(text)
