"""The measurements of `bench`."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...backups.settings import download_settings, upload_settings
from ...backups.traffic import Content, Measured, Traffic
from ...backups.tuning import Setting, Tuned, settings_down, settings_up, tune
from ...config.values import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config.loading import Config
    from ...storage.contract import Store

_RUNS = 3
_TABLE = 4096
# The first stream also loads modules; the last is skipped if the one before it took longer than this.
_MOST_FIRST, _PILOTS = 16 << 20, (16 << 20, 32 << 20)
_PILOT_SECONDS, _FIRST_SECONDS = 2.0, 20.0
_LEAST = 16 << 20
# Shares of the given time for streams and for tables; the settings get the rest.
_FOR_STREAMS, _FOR_TABLES = 0.2, 0.1
# A run of a setting is as long as this: shorter ones measure little but their start.
_RUN_SECONDS, _LEAST_RUN = 0.8, 48 << 20


@dataclass
class Tables:
    """Seconds for each of many small objects, one after the other, up and down."""

    up: list[float]
    down: list[float]


class Bench:
    """One run of `bench`, and its results."""

    def __init__(self, config: Config, store: Store, prefix: str, arguments: Any, note: Callable[[str], None]) -> None:
        """The caller deletes what the run writes below `prefix`."""
        self.config = config
        self.streams = arguments.streams
        self.requested_size = self.size = arguments.size
        self.up: list[Measured] = []
        self.down: list[Measured] = []
        self.tables = Tables([], [])
        self.tuned: dict[str, Tuned] = {}
        self._store = store
        self._count = arguments.tables
        self._seconds = float(arguments.seconds)
        self._traffic = Traffic(store, note)
        self._content = Content(arguments.size)
        self._keys = [f"{prefix}stream_{number}" for number in range(self.streams)]
        self._prefix = prefix

    def run(self, report: Callable[[str], None]) -> None:
        """Measure everything; `report` gets a line on each stage."""
        started = time.monotonic()
        report("estimating the speed of the target")
        rate = self._pilot()
        # All runs together, up and down, stay within their share of the time.
        affordable = int(rate * self._seconds * _FOR_STREAMS / (2 * _RUNS) / self.streams)
        self.size = min(self.size, max(_LEAST, affordable >> 20 << 20))
        for number in range(_RUNS):
            report(f"streams, run {number + 1} of {_RUNS}")
            self.up.append(self._send(self.size, Setting(0, 0)))
            self.down.append(self._fetch(Setting(0, 0)))
        report("small tables")
        self._measure_tables(self._seconds * _FOR_TABLES)
        self._tune(report, started + self._seconds)

    def close(self) -> None:
        """Release the memory."""
        self._content.close()

    def _pilot(self) -> float:
        """Bytes a second of all streams together, roughly."""
        # Two parts, so that the code for parts is loaded, too.
        taken = self._send(min(_MOST_FIRST, self.config.backup_multipart_chunksize + 1), Setting(0, 0))
        if taken.seconds < _FIRST_SECONDS:
            for size in _PILOTS:
                taken = self._send(size, Setting(0, 0))
                if taken.seconds > _PILOT_SECONDS:
                    break
        return taken.rate

    def _send(self, size: int, setting: Setting) -> Measured:
        """Upload by a setting; zeros mean the configured values."""
        settings = upload_settings(self.config)
        if setting.chunk:
            settings = settings._replace(part_size=setting.chunk, concurrency=setting.requests)
        self._content.renew()
        return self._traffic.up(self._keys, size, self._content, settings)

    def _fetch(self, setting: Setting, seconds: float = float("inf")) -> Measured:
        settings = download_settings(self.config)
        if setting.chunk:
            settings = settings._replace(read_size=setting.chunk, concurrency=setting.requests)
        return self._traffic.down(self._keys, settings, seconds)

    def _measure_tables(self, seconds: float) -> None:
        """Send small tables as backup_data does, but without starting a process for each."""
        content = Content(_TABLE)
        try:
            keys = []
            end = time.monotonic() + seconds / 2
            for number in range(self._count):
                content.renew()
                keys.append(f"{self._prefix}table_{number}")
                taken = self._traffic.up(keys[-1:], _TABLE, content, upload_settings(self.config))
                self.tables.up.append(taken.seconds)
                if time.monotonic() > end:
                    break
        finally:
            content.close()
        end = time.monotonic() + seconds / 2
        for key in keys:
            self.tables.down.append(self._traffic.down([key], download_settings(self.config)).seconds)
            if time.monotonic() > end:
                break

    def _tune(self, report: Callable[[str], None], end: float) -> None:
        if self._store.files is not None or self.config.max_bandwidth:
            why = (
                "on a disk the kernel copies, so these settings make no difference"
                if self._store.files is not None
                else "max_bandwidth limits each stream, so these settings make no difference"
            )
            self.tuned = {way: Tuned(why=why) for way in ("backup", "restore")}
            return
        rate = statistics.median(one.rate for one in self.up) / self.streams
        size = min(self.requested_size, max(_LEAST_RUN, int(rate * _RUN_SECONDS)))
        capabilities = self._store.capabilities

        def up(setting: Setting) -> float:
            report(f"backup with {setting.requests} requests of {format_size(setting.chunk)}")
            return self._send(size, setting).rate

        def down(setting: Setting) -> float:
            report(f"restore with {setting.requests} requests of {format_size(setting.chunk)}")
            return self._fetch(setting, 2 * _RUN_SECONDS).rate

        half = max(0.0, end - time.monotonic()) / 2
        self.tuned["backup"] = tune(settings_up(self.config, capabilities), up, half)
        self._send(size, Setting(0, 0))
        left = max(0.0, end - time.monotonic())
        self.tuned["restore"] = tune(settings_down(self.config, capabilities), down, left)
