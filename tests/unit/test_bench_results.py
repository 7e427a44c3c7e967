"""What `bench` says of its measurements."""

from __future__ import annotations

import argparse
from contextlib import closing

import pytest

from fsspec_gp_plugin.backups.tuning import Setting, tune
from fsspec_gp_plugin.cli.bench.measuring import Bench
from fsspec_gp_plugin.cli.bench.results import recommended
from fsspec_gp_plugin.config.loading import Config, parse_config
from tests.fakes import FakeStore

MB = 1 << 20
NOW = {
    f"{way}_{name}": value
    for way in ("backup", "restore")
    for name, value in (("multipart_chunksize", "8MB"), ("max_concurrent_requests", "4"))
}
ASKED = argparse.Namespace(streams=1, size=MB, tables=1, seconds=1)


def config(options: dict[str, str]) -> Config:
    lines = "".join(f"  {name}: {value}\n" for name, value in options.items())
    return parse_config("c.yaml", f"executablepath: /x\noptions:\n  url: s3://bucket\n{lines}", {})


def present(configured: Config, way: str) -> Setting:
    """The setting of a configuration."""
    if way == "backup":
        return Setting(configured.backup_multipart_chunksize, configured.backup_max_concurrent_requests)
    return Setting(configured.restore_multipart_chunksize, configured.restore_max_concurrent_requests)


@pytest.mark.parametrize("way", ["backup", "restore"])
@pytest.mark.parametrize(
    ("fastest", "names"),
    [
        (Setting(24 * MB, 4), ["multipart_chunksize"]),
        (Setting(8 * MB, 9), ["max_concurrent_requests"]),
        (Setting(24 * MB, 9), ["multipart_chunksize", "max_concurrent_requests"]),
        (Setting(8 * MB, 4), []),
    ],
)
def test_what_is_recommended_can_be_written_into_the_configuration(
    way: str, fastest: Setting, names: list[str]
) -> None:
    """With it the fastest setting is the present one; nothing is said of what stays."""
    other = "restore" if way == "backup" else "backup"
    with closing(Bench(config(NOW), FakeStore(), "bench/", ASKED, print)) as bench:
        for one in ("backup", "restore"):
            settings = [Setting(8 * MB, 4), Setting(24 * MB, 4), Setting(8 * MB, 9), Setting(24 * MB, 9)]
            best = fastest if one == way else settings[0]
            bench.tuned[one] = tune(settings, {**dict.fromkeys(settings, 100.0), best: 200.0}.__getitem__, 60)
        found = recommended(bench)
    assert list(found) == [f"{way}_{name}" for name in names]
    assert present(config(NOW | found), way) == fastest
    assert present(config(NOW | found), other) == Setting(8 * MB, 4)
