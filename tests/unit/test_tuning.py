"""Which settings are tried, and when one is recommended: by the clear gain, never by the noise."""

from __future__ import annotations

import itertools
import random

from fsspec_gp_plugin.backups.tuning import KEPT, PAIRS, Setting, settings_down, settings_up, tune
from fsspec_gp_plugin.config.loading import Config, parse_config
from fsspec_gp_plugin.storage.contract import Capabilities

MB = 1 << 20
S3 = Capabilities(parallel_parts=True, parallel_reads=True, min_part_size=5 * MB, max_parts=10_000)
SERIAL = Capabilities(parallel_parts=False, parallel_reads=False)
SETTINGS = [Setting(8 * MB, 4), Setting(8 * MB, 8), Setting(16 * MB, 4)]


def config(**options: str) -> Config:
    lines = "".join(f"  {name}: {value}\n" for name, value in options.items())
    return parse_config("c.yaml", f"executablepath: /x\noptions:\n  url: s3://bucket\n{lines}", {})


def test_what_is_tried_fits_into_the_memory_and_differs() -> None:
    for limit in ("128MB", "64MB"):
        tried = settings_up(config(memory_limit=limit), S3)
        assert tried[0] == Setting(8 * MB, 4)
        assert len(set(tried)) == len(tried) > 2
        assert all(one.chunk * (one.requests + 1) <= int(limit[:-2]) * MB for one in tried)
    assert [one.chunk // MB for one in settings_up(config(), SERIAL)] == [8, 16, 32]
    assert [one.chunk // MB for one in settings_down(config(), SERIAL)] == [8, 16, 32]
    assert settings_up(config(backup_max_concurrent_requests="60"), S3)[0].requests == 60


def test_a_clear_gain_is_recommended() -> None:
    runs: list[Setting] = []
    noise = itertools.cycle([1.0, 1.02, 0.98])

    def measure(setting: Setting) -> float:
        runs.append(setting)
        return next(noise) * (130.0 if setting.requests == 8 else 100.0)

    tuned = tune(SETTINGS, measure, 60)
    assert tuned.recommended == Setting(8 * MB, 8)
    assert tuned.gain is not None
    assert 1.2 < tuned.gain < 1.4
    assert len(runs) == len(SETTINGS) + 1 + KEPT + 2 * PAIRS


def test_of_those_that_are_as_fast_the_smallest_is_recommended() -> None:
    settings = [*SETTINGS, Setting(8 * MB, 12)]
    tuned = tune(settings, lambda one: {8: 199.0, 12: 200.0}.get(one.requests, 100.0), 60)
    assert tuned.recommended == Setting(8 * MB, 8)


def test_noise_is_hardly_ever_recommended() -> None:
    """Of settings that are all the same: the chance of five pairs in a row is 1 in 32, and a gain is wanted, too."""
    rng = random.Random(1)
    found = [tune(SETTINGS, lambda _: rng.gauss(100, 15), 60).recommended for _ in range(1000)]
    assert sum(one is not None for one in found) < 30


def test_a_small_gain_is_none() -> None:
    tuned = tune(SETTINGS, lambda setting: 103.0 if setting.requests == 8 else 100.0, 60)
    assert tuned.recommended is None
    assert tuned.best == Setting(8 * MB, 8)
    assert "beyond the noise" in tuned.why


def test_the_present_setting_may_be_the_best_or_the_only_one() -> None:
    tuned = tune(SETTINGS, lambda setting: 100.0 if setting.requests == 4 and setting.chunk == 8 * MB else 90.0, 60)
    assert (tuned.recommended, tuned.best) == (None, Setting(8 * MB, 8))
    assert "the fastest of those tried" in tuned.why
    assert "no other setting" in tune(SETTINGS[:1], lambda _: 1.0, 60).why


def test_without_time_nothing_is_recommended() -> None:
    tuned = tune(SETTINGS, lambda _: 1.0, -1)
    assert tuned.recommended is None
    assert "give --seconds more" in tuned.why
