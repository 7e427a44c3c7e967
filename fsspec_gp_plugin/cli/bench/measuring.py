"""The measurements of `bench`."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...backups.from_config import download_settings, upload_settings
from ...backups.traffic import Content, Measured, Traffic
from ...backups.tuning import Setting, Tuned, settings_down, settings_up, tune
from ...config.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config.loading import Config
    from ...storage.contract import Store

_RUNS = 3
_TABLE = 4096
# The first stream is the one that loads what the target needs; the last is left out where the one before took so long.
_MOST_FIRST, _PILOTS = 16 << 20, (16 << 20, 32 << 20)
_PILOT_SECONDS, _FIRST_SECONDS = 2.0, 20.0
_LEAST = 16 << 20
# Of the time given: how much of it streams may take, and tables; the settings get the rest.
_FOR_STREAMS, _FOR_TABLES = 0.2, 0.1
# A run of a setting: as long as this, so that it is more than its beginning.
_RUN_SECONDS, _LEAST_RUN = 0.8, 48 << 20


@dataclass
class Tables:
    """Seconds that each of many small objects took, one after the other, up and down."""

    up: list[float]
    down: list[float]


class Bench:
    """One run of it: what is measured stands here afterwards."""

    def __init__(self, config: Config, store: Store, prefix: str, asked: Any, note: Callable[[str], None]) -> None:
        """All is written below `prefix`, for the caller to delete."""
        self.config = config
        self.streams = asked.streams
        self.asked_size = self.size = asked.size
        self.up: list[Measured] = []
        self.down: list[Measured] = []
        self.tables = Tables([], [])
        self.tuned: dict[str, Tuned] = {}
        self._store = store
        self._count = asked.tables
        self._seconds = float(asked.seconds)
        self._traffic = Traffic(store, note)
        self._content = Content(asked.size)
        self._keys = [f"{prefix}stream_{number}" for number in range(self.streams)]
        self._prefix = prefix

    def run(self, say: Callable[[str], None]) -> None:
        """Measure all; `say` is told what is under way."""
        started = time.monotonic()
        say("looking how fast the target is")
        rate = self._pilot()
        # Up and down, so that all runs together stay within their share.
        affordable = int(rate * self._seconds * _FOR_STREAMS / (2 * _RUNS) / self.streams)
        self.size = min(self.size, max(_LEAST, affordable >> 20 << 20))
        for number in range(_RUNS):
            say(f"streams, run {number + 1} of {_RUNS}")
            self.up.append(self._send(self.size, Setting(0, 0)))
            self.down.append(self._fetch(Setting(0, 0)))
        say("small tables")
        self._measure_tables(self._seconds * _FOR_TABLES)
        self._tune(say, started + self._seconds)

    def close(self) -> None:
        """Give the memory back."""
        self._content.close()

    def _pilot(self) -> float:
        """Bytes a second of all streams together, roughly."""
        # Two parts: what the target needs for them is loaded, too.
        taken = self._send(min(_MOST_FIRST, self.config.backup_multipart_chunksize + 1), Setting(0, 0))
        if taken.seconds < _FIRST_SECONDS:
            for size in _PILOTS:
                taken = self._send(size, Setting(0, 0))
                if taken.seconds > _PILOT_SECONDS:
                    break
        return taken.rate

    def _send(self, size: int, setting: Setting) -> Measured:
        """By a setting, or, with zeros, as it is configured."""
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
        """Through the engine, as backup_data sends a small table, without the start of a process for each."""
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

    def _tune(self, say: Callable[[str], None], end: float) -> None:
        if self._store.files is not None or self.config.max_bandwidth:
            why = (
                "on a disk the kernel copies: these settings make no difference"
                if self._store.files is not None
                else "max_bandwidth limits a stream, whatever the other settings"
            )
            self.tuned = {way: Tuned(why=why) for way in ("backup", "restore")}
            return
        rate = statistics.median(one.rate for one in self.up) / self.streams
        size = min(self.asked_size, max(_LEAST_RUN, int(rate * _RUN_SECONDS)))
        capabilities = self._store.capabilities

        def up(setting: Setting) -> float:
            say(f"backup by {setting.requests} requests of {format_size(setting.chunk)}")
            return self._send(size, setting).rate

        def down(setting: Setting) -> float:
            say(f"restore by {setting.requests} requests of {format_size(setting.chunk)}")
            return self._fetch(setting, 2 * _RUN_SECONDS).rate

        half = max(0.0, end - time.monotonic()) / 2
        self.tuned["backup"] = tune(settings_up(self.config, capabilities), up, half)
        self._send(size, Setting(0, 0))
        left = max(0.0, end - time.monotonic())
        self.tuned["restore"] = tune(settings_down(self.config, capabilities), down, left)
