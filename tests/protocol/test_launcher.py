"""The executable that pip installs, in the environments that callers give it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fsspec_gp_plugin
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Database, Plugin, quoted, write_config
from tests.protocol.waiting import wait_until_read

if TYPE_CHECKING:
    from tests.protocol.conftest import Target

VERSION = f"fsspec_gp_plugin version {fsspec_gp_plugin.__version__}\n".encode()


def test_versions_are_exactly_what_gpbackup_reads(local: Plugin) -> None:
    for shell in ("bash", "sh"):
        assert local.shell(f"{local.executable} --version", shell=shell).succeeded().out == VERSION
        assert local.shell(f"{local.executable} plugin_api_version", shell=shell).succeeded().out == b"0.5.0\n"


def test_what_pip_installed_is_the_launcher_of_this_checkout() -> None:
    launcher = Path("bin/fsspec_gp_plugin").read_bytes()
    assert EXECUTABLE.with_suffix(".sh").read_bytes() == launcher
    # Or, where there is a compiler, the client in C.
    assert EXECUTABLE.read_bytes() == launcher or EXECUTABLE.read_bytes().startswith(b"\x7fELF")


@pytest.mark.parametrize("variable", ["PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "OPENSSL_CONF"])
def test_the_polluted_environment_would_stop_a_plain_python(local: Plugin, variable: str) -> None:
    """What the tests pollute the environment with is real: each by itself stops the same interpreter."""
    environment = {**os.environ, variable: local.database.environment()[variable]}
    line = "import ssl, yaml, logging; ssl.create_default_context()"
    plain = subprocess.run([sys.executable, "-c", line], env=environment, capture_output=True, check=False)
    assert plain.returncode != 0


def test_it_works_through_symbolic_links_and_from_the_path(local: Plugin, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/plugin").symlink_to(EXECUTABLE)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "relative").symlink_to("a/plugin")
    (tmp_path / "folder").symlink_to(EXECUTABLE.parent)
    for path in ("a/plugin", "b/plugin", "relative", "folder/fsspec_gp_plugin"):
        assert local.shell(f"{tmp_path}/{path} --version").succeeded().out == VERSION
    assert local.shell(f"cd {tmp_path} && ./relative --version").succeeded().out == VERSION
    assert local.shell(f"PATH={tmp_path}/a:$PATH; plugin --version").succeeded().out == VERSION


def test_it_works_in_a_directory_that_cannot_be_read(plugin: Plugin) -> None:
    path = plugin.database.table()
    closed = quoted(plugin.database.folder / "closed")
    line = f"mkdir {closed} && cd {closed} && chmod 0 . && printf data | {plugin.command('backup_data', path)}"
    plugin.shell(line).succeeded()
    assert plugin.run("restore_data", path).succeeded().out == b"data"


def test_a_module_in_the_current_directory_is_not_loaded(plugin: Plugin) -> None:
    (plugin.database.folder / "home/yaml.py").write_text("raise RuntimeError('the wrong yaml')")
    plugin.run("backup_data", plugin.database.table(), stdin=b"data").succeeded()


def test_without_an_interpreter_it_says_what_to_do(local: Plugin, tmp_path: Path) -> None:
    shutil.copy(EXECUTABLE.with_suffix(".sh"), tmp_path / "copied.sh")
    local.shell(f"{tmp_path}/copied.sh --version").failed("no Python beside it", status=2)
    shutil.copy(EXECUTABLE, tmp_path / "copied")
    local.shell(f"{tmp_path}/copied --version").failed(str(tmp_path), status=2)


def test_inherited_descriptors_are_closed(plugin: Plugin) -> None:
    """The server's files must not stay open, whose space a dropped table would not give back."""
    with open(plugin.config) as inherited:
        process = plugin.server(
            f"exec {plugin.command('backup_data', plugin.database.table())}", descriptors=[inherited.fileno()]
        )
        assert process.stdin is not None
        process.stdin.write(b"x" * (1 << 20))
        process.stdin.flush()
        wait_until_read(process)
        links = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
        assert str(plugin.config) not in links
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == 0


@pytest.mark.parametrize("umask", ["0000", "0077"])
def test_files_are_private_whatever_the_umask(local: Plugin, tmp_path: Path, umask: str) -> None:
    path = local.database.table()
    local.shell(f"umask {umask}; {local.command('backup_data', path)}", b"data").succeeded()
    Path(local.database.directory()).mkdir(parents=True)
    local.shell(f"umask {umask}; {local.command('restore_file', path)}").succeeded()
    stored = tmp_path / "disk" / local.database.key(path)
    logs = list((local.database.folder / "home/gpAdminLogs").iterdir())
    for file in (stored, Path(path), *logs):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for folder in (stored.parent, stored.parent.parent, stored.parent.parent.parent, logs[0].parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


@pytest.mark.every_target
def test_no_library_warns_and_nothing_is_left_open(target: Target, database: Database) -> None:
    """Python's development mode reports whatever a library leaves open; at debug level that is in the log."""
    config = write_config(database.folder / "c.yaml", target.url, target.options, logger_verbosity="debug")
    plugin = Plugin(database, config)
    python = f"{EXECUTABLE.parent}/python3 -I -X dev -W default -m fsspec_gp_plugin"
    path = database.table()
    for command, data in (("backup_data", os.urandom(9 << 20)), ("restore_data", b"")):
        line = f"unset PYTHONHOME PYTHONPATH LD_LIBRARY_PATH OPENSSL_CONF; {python} {command} {config} {path} | cat"
        assert plugin.shell(line, data).err == ""
    for line in database.log().splitlines():
        assert " fsspec_gp_plugin:" in line
        for word in ("Warning", "nclosed", "never retrieved", "ignored in", "Traceback"):
            assert word not in line, line


def test_a_directory_as_standard_input_is_one_line(local: Plugin) -> None:
    """Python itself would end with six."""
    result = local.shell(local.command("backup_data", local.database.table()) + " < /tmp")
    result.failed("standard input is a directory", status=2)
