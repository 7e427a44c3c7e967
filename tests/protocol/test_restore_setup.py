"""Setup for a restore refuses what gprestore would hang upon, by gpbackup's own files, without a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.recorded import CHAIN, recorded

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

pytestmark = pytest.mark.agent_unless_disk


def put(target: Target, *names: str, without: str = "") -> None:
    """Backups as the S3 plugin leaves them, and one object that is gone."""
    with target.store() as store:
        for name in names:
            for key, data in recorded(name).objects.items():
                if not key.endswith(f"/{without}"):
                    store.put(key, memoryview(data))


def set_up(plugin: Plugin, name: str) -> tuple[str, ...]:
    plugin.database.timestamp = recorded(name).timestamp
    return "setup_plugin_for_restore", plugin.database.directory(-1), "segment_host"


def allow_incomplete(plugin: Plugin) -> None:
    text = plugin.config.read_text().replace('"options":', '"options":\n  "restore_incomplete": "on"')
    plugin.config.write_text(text)


def test_an_object_that_is_gone_is_missed_before_the_first_byte(plugin: Plugin, target: Target) -> None:
    one = recorded("default")
    put(target, "default", without=one.data[-1])
    plugin.run(*set_up(plugin, "default")).failed(
        one.data[-1], "objects is missing: ", "gpbackup's config file", "`restore_incomplete: on`"
    )
    allow_incomplete(plugin)
    plugin.run(*set_up(plugin, "default")).succeeded()
    log = plugin.database.log()
    assert (
        f"restored all the same, as `restore_incomplete` is on: 1 of 20 objects is missing: {one.prefix}{one.data[-1]};"
        in log
    )
    path = plugin.database.file(one.data[0])
    assert plugin.run("restore_data", path).succeeded().out == b"data"


def test_what_the_base_of_an_incremental_backup_lacks_is_missed(plugin: Plugin, target: Target) -> None:
    one = recorded(CHAIN[0])
    put(target, *CHAIN, without=one.data[0])
    plugin.run(*set_up(plugin, CHAIN[3])).failed(f"objects is missing: {one.prefix}{one.data[0]};")
    put(target, CHAIN[0])
    plugin.run(*set_up(plugin, CHAIN[3])).succeeded()
    assert "WARNING" not in plugin.database.log()
