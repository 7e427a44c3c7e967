"""A host without a network, as while a route flaps: whatever is spoken, the store counts as out of reach."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import make_database
from tests.protocol.caller import Plugin, write_config
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    from pathlib import Path

# An empty namespace of networks, also for an ordinary user.
_ALONE = ("unshare", "--map-root-user", "--net")
_OPTIONS: dict[str, dict[str, Any]] = {
    "webdav": {"base_url": "http://192.0.2.1"},
    "s3": {"endpoint_url": "http://192.0.2.1", "anon": True},
}


@pytest.mark.parametrize("protocol", ["sftp", "ftp", "webdav", "s3"])
def test_a_network_that_is_not_there_is_waited_for(tmp_path: Path, protocol: str) -> None:
    if subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode:
        skip_unless_required("mount", "no namespace can be made here")
    database = make_database(tmp_path / "host")
    url = f"{protocol}://192.0.2.1/backups"
    settings = {"timeout": "20s", "max_retries": "2"}
    plugin = Plugin(database, write_config(database.folder / "c.yaml", url, _OPTIONS.get(protocol), **settings))
    line = f"{shlex.join(_ALONE)} {plugin.command('backup_data', database.table())}"
    plugin.shell(line, b"rows").failed("etwork", status=3)
    assert database.log().count("trying again in") == 2
