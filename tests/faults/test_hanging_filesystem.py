"""A filesystem of fsspec whose calls never return hangs no call of gpbackup; one that needs much memory is reported."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fsspec_gp_plugin
from tests import hanging
from tests.faults.conftest import end, make_database
from tests.protocol.agents import EXECUTABLE, Agent
from tests.protocol.caller import Plugin, write_config
from tests.protocol.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = os.urandom(3_000_000)
SECONDS = 60.0  # on a slow machine, and yet less than for ever


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an installation that has the filesystem, too."""
    folder = tmp_path_factory.mktemp("installation") / "with-hanging"
    venv.create(folder, with_pip=False, symlinks=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    code = Path(fsspec_gp_plugin.__file__).parent.parent
    (packages / "first.pth").write_text(f"{sysconfig.get_path('purelib')}\n{code}\n")
    shutil.copy(hanging.__file__, packages / "hanging.py")
    (packages / "hanging-1.dist-info").mkdir()
    (packages / "hanging-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
    (packages / "hanging-1.dist-info" / "entry_points.txt").write_text(
        "[fsspec.specs]\nhanging = hanging:HangingFileSystem\n"
    )
    for program in EXECUTABLE.parent.glob("fsspec_gp_plugin*"):
        shutil.copy(program, folder / "bin")
    shutil.copytree(EXECUTABLE.parent.parent / "libexec", folder / "libexec")
    return folder / "bin" / EXECUTABLE.name


class Place:
    """A plugin, and where its files are."""

    def __init__(self, folder: Path, executable: Path, *, agent: bool) -> None:
        self._root, self.calls = folder / "root", folder / "calls"
        self._root.mkdir()
        self.calls.mkdir()
        database = make_database(folder / "host")
        self.plugin = Plugin(database, database.folder / "plugin.yaml", executable)
        self.agent = Agent(database, "hanging", executable=executable) if agent else None

    def hang(self, where: str, times: int, *, block: int = 0, **options: str) -> None:
        """So many calls of a kind, from now on. `block`: bytes that files keep before they write them."""
        hanging = {"where": where, "folder": str(self.calls), "block": block}
        settings = {"timeout": "1s", "agent": "on" if self.agent else "off", **options}
        write_config(self.plugin.config, f"hanging://{self._root}", hanging, **settings)
        for number in range(times):
            (self.calls / str(number)).touch()

    def files(self) -> list[str]:
        return [path.name for path in self._root.rglob("*") if path.is_file()]

    def sizes(self) -> list[int]:
        return [path.stat().st_size for path in self._root.rglob("*") if path.is_file()]

    def visible(self) -> list[str]:
        return [name for name in self.files() if not name.endswith(".part")]


@pytest.fixture(params=[False, True], ids=["plain", "agent"])
def place(request: pytest.FixtureRequest, tmp_path: Path, executable: Path) -> Iterator[Place]:
    place = Place(tmp_path, executable, agent=request.param)
    yield place
    if place.agent is not None:
        command = [str(executable), "agent", "status"]
        status = subprocess.run(
            command, env=place.plugin.database.environment(), capture_output=True, check=True
        ).stdout
        assert b"commands: 0 running, 0 served" not in status


@pytest.mark.parametrize("where", ["constructor", "open wb", "write", "mv"])
def test_a_backup_survives_a_call_that_never_returns(place: Place, where: str) -> None:
    place.hang(where, 1)
    path = place.plugin.database.table()
    place.plugin.run("backup_data", path, stdin=DATA, seconds=SECONDS).succeeded()
    place.hang("", 0)
    assert place.plugin.run("restore_data", path).succeeded().out == DATA


@pytest.mark.parametrize("where", ["constructor", "info", "open rb", "read"])
def test_a_restore_survives_a_call_that_never_returns(place: Place, where: str) -> None:
    place.hang("", 0)
    path = place.plugin.database.table()
    place.plugin.run("backup_data", path, stdin=DATA).succeeded()
    place.hang(where, 1)
    assert place.plugin.run("restore_data", path, seconds=SECONDS).succeeded().out == DATA


@pytest.mark.parametrize("where", ["constructor", "write", "close"])
def test_a_backup_whose_calls_never_return_fails_and_shows_nothing(place: Place, where: str) -> None:
    place.hang(where, 20, max_retries="1")
    result = place.plugin.run("backup_data", place.plugin.database.table(), stdin=DATA, seconds=SECONDS)
    result.failed("did not end in the 1 s of the option `timeout`")
    assert place.visible() == []


def test_setup_fails_where_the_filesystem_can_not_even_be_made(place: Place) -> None:
    place.hang("", 0)
    place.plugin.run("backup_data", place.plugin.database.table(), stdin=DATA).succeeded()
    place.hang("constructor", 20, max_retries="1")
    here = place.plugin.database.directory(-1)
    place.plugin.run("setup_plugin_for_backup", here, "master", seconds=SECONDS).failed("did not end in", status=3)


@pytest.mark.alone
def test_a_signal_ends_a_backup_in_time_whose_write_never_returns(place: Place) -> None:
    place.hang("write", 1, timeout="60s", backup_multipart_chunksize="1MB")
    process = place.plugin.start("backup_data", place.plugin.database.table())
    assert process.stdin is not None
    process.stdin.write(DATA[:1_500_000])  # more would not be taken
    process.stdin.flush()
    wait_until(lambda: not any(place.calls.iterdir()))
    process.send_signal(signal.SIGTERM)
    assert end(process, seconds=2.5).status == 128 + signal.SIGTERM
    assert place.visible() == []


KEPT = "this filesystem keeps a file in memory until it is complete"


@pytest.mark.parametrize(("block", "is_reported"), [(1 << 30, True), (20 << 20, False), (0, False)])
def test_setup_warns_of_a_filesystem_that_keeps_streams_in_memory_once_a_backup(
    place: Place, block: int, is_reported: bool
) -> None:
    place.hang("", 0, block=block, timeout="60s")
    place.plugin.setup("setup_plugin_for_backup")
    lines = [line for line in place.plugin.database.log().splitlines() if KEPT in line]
    assert ["WARNING" in line for line in lines] == [True] * is_reported
    assert not [name for name in place.files() if "probe" in name]


@pytest.mark.parametrize("place", [False], indirect=True, ids=["plain"])
def test_doctor_warns_of_a_filesystem_that_keeps_streams_in_memory(place: Place) -> None:
    place.hang("", 0, block=1 << 30, timeout="60s")
    doctor = place.plugin.run("doctor", "--json")
    steps = {step["step"]: step for step in json.loads(doctor.out)["steps"]}
    assert steps["multipart"]["status"] == "warning"
    assert KEPT in steps["multipart"]["told"]


@pytest.mark.parametrize("place", [False], indirect=True, ids=["plain"])
def test_a_backup_that_gets_no_second_buffer_goes_on_and_logs_it_once(place: Place) -> None:
    place.hang("", 0, backup_multipart_chunksize="512MB", timeout="60s")
    path = place.plugin.database.table()
    line = place.plugin.command("backup_data", path)
    place.plugin.shell(f"ulimit -v 1000000; head -c 540000000 /dev/zero | {line}").succeeded()
    assert place.sizes() == [540_000_000]
    log = place.plugin.database.log()
    assert log.count("the system refuses memory for another buffer of 524,288 KiB, so the stream goes on with 1") == 1
