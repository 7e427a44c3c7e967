"""Finds the part size and the number of requests that make streams to a target faster, beyond measurement noise."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..transfer.part_sizes import PartSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.loading import Config
    from ..storage.contract import Capabilities

_MB = 1 << 20
# In addition, for each size, as many as fit into the memory of a stream.
_REQUESTS = {8 * _MB: (2, 4, 8, 12), 16 * _MB: (4,), 32 * _MB: ()}
_MOST_REQUESTS = 12
# After a round of all settings, this many of the fastest get another; then the best is compared with the present one in
# pairs of runs.
KEPT, PAIRS = 2, 5
_LEAST_GAIN, _AS_FAST = 1.05, 0.97
# The share of the given time that the two rounds may take.
_FOR_ROUNDS = 0.7
HOW = (
    f"after a round of all settings, and another of the present one and the {KEPT} fastest, the best is recommended if "
    f"it is faster than the present one in each of {PAIRS} more pairs of runs, by 5 % in the median, and by more than "
    "twice the median deviation of the present one's runs"
)


@dataclass(frozen=True)
class Setting:
    """`chunk`: bytes of a part or a range; `requests`: how many of them at the same time."""

    chunk: int
    requests: int


@dataclass
class Tuned:
    """The result of tuning. `rates`: bytes per second of each run of each setting, the present one first; `best`: the
    setting that was compared with the present one in pairs; `gain`: the median ratio of these pairs (1.1: a tenth
    faster); `noise`: the ratio up to which the gain may be noise; `recommended`: None if no setting is; then `why` says
    the reason.
    """

    rates: dict[Setting, list[float]] = field(default_factory=dict)
    best: Setting | None = None
    gain: float | None = None
    noise: float | None = None
    recommended: Setting | None = None
    why: str = ""

    def median(self, setting: Setting) -> float:
        """The median of a setting's runs, in bytes per second. 0 without a run."""
        return statistics.median(self.rates.get(setting) or [0.0])


def settings_up(config: Config, capabilities: Capabilities) -> list[Setting]:
    """Upload settings that have different effects at this store, within the memory of a stream. The present one is
    first.
    """
    present = Setting(config.backup_multipart_chunksize, config.backup_max_concurrent_requests)

    def effect(setting: Setting) -> tuple[int, int]:
        schedule = PartSchedule(
            setting.chunk,
            setting.requests,
            capabilities,
            memory_limit=config.memory_limit,
            fixed=config.fixed_part_size,
            max_parts=config.max_parts,
        )
        return schedule.size(1), schedule.buffers(1)

    return _different(present, config.memory_limit, effect)


def settings_down(config: Config, capabilities: Capabilities) -> list[Setting]:
    """Download settings that have different effects at this store. The present one is first."""
    present = Setting(config.restore_multipart_chunksize, config.restore_max_concurrent_requests)

    def effect(setting: Setting) -> tuple[int, int]:
        buffers = max(1, config.memory_limit // setting.chunk)
        return setting.chunk, min(setting.requests, buffers) if capabilities.parallel_reads else 1

    return _different(present, config.memory_limit, effect)


def _different(present: Setting, memory: int, effect: Callable[[Setting], tuple[int, int]]) -> list[Setting]:
    found = {effect(present): present}
    for size, requests in _REQUESTS.items():
        most = min(_MOST_REQUESTS, memory // size - 1)
        for count in sorted({*requests, most}):
            if 1 <= count <= most:
                setting = Setting(size, count)
                found.setdefault(effect(setting), setting)
    return list(found.values())


def tune(settings: Sequence[Setting], measure: Callable[[Setting], float], seconds: float) -> Tuned:
    """Try the settings in turn for about so many seconds. The first is the present one. `measure` makes one run and
    returns its bytes per second.
    """
    tuned = Tuned({setting: [] for setting in settings})
    if len(settings) < 2:
        tuned.why = "no other setting would make a difference here"
        return tuned
    started = time.monotonic()
    present = settings[0]
    trying = list(settings)
    for _ in range(2):
        for setting in trying:
            if time.monotonic() - started > seconds * _FOR_ROUNDS:
                tuned.why = "the target is too slow to try settings in the time given; give --seconds more"
                return tuned
            tuned.rates[setting].append(measure(setting))
        # In the second round the present one is the last.
        trying = [*sorted(settings[1:], key=tuned.median, reverse=True)[:KEPT], present]
    fastest = max(map(tuned.median, trying[:-1]))
    # Of settings that are equally fast, the one that needs the least memory.
    near = [setting for setting in trying[:-1] if tuned.median(setting) >= fastest * _AS_FAST]
    tuned.best = best = min(near, key=lambda setting: setting.chunk * setting.requests)
    if tuned.median(best) <= tuned.median(present):
        tuned.why = "the present setting is the fastest of those tried"
        return tuned
    pairs = []
    for number in range(PAIRS):
        order = (present, best) if number % 2 else (best, present)
        taken = {setting: measure(setting) for setting in order}
        pairs.append((taken[present], taken[best]))
        if time.monotonic() - started > seconds * 1.2 and number + 1 < PAIRS:
            tuned.why = "there was no time to try the best setting again; give --seconds more"
            return tuned
    _judge(tuned, best, pairs)
    return tuned


def _judge(tuned: Tuned, best: Setting, pairs: list[tuple[float, float]]) -> None:
    middle = statistics.median(one for one, _ in pairs)
    deviation = statistics.median(abs(one - middle) for one, _ in pairs) / middle
    tuned.gain = statistics.median(other / one for one, other in pairs)
    tuned.noise = max(_LEAST_GAIN, 1 + 2 * deviation)
    if all(other > one for one, other in pairs) and tuned.gain > tuned.noise:
        tuned.recommended = best
    else:
        tuned.why = "no setting tried is faster than the present one beyond the noise"
