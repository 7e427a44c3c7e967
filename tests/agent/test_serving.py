"""What the agent does for its clients is what they would have done themselves."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent.wire import CONFIGURATION, ENVIRONMENT, OFF, UNUSUAL
from tests.agent.conftest import CLIENTS, PATIENCE, by, hook, served, wait_until, wait_until_handed_over, write_config
from tests.protocol.agents import Agent
from tests.protocol.conftest import PART
from tests.protocol.test_bad_input import mount
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from tests.protocol.caller import Database, Plugin
    from tests.protocol.conftest import Target


def test_streams_go_through_the_agent(plugin: Plugin, target: Target, agent: Agent) -> None:
    sizes = (0, 1000, PART, 3 * PART + 1)
    for number, size in enumerate(sizes):
        data = os.urandom(size)
        path = plugin.database.table(number)
        assert plugin.run("backup_data", path, stdin=data).succeeded().out == b""
        assert target.keys()[number:] == [plugin.database.key(path)]
        assert plugin.run("restore_data", path).succeeded().out == data
    assert served(agent) == 2 * len(sizes)


def test_files_and_ranges_go_through_the_agent(plugin: Plugin, agent: Agent) -> None:
    """Relative paths are the caller's, and so is the mode that its umask leaves."""
    folder = Path(plugin.database.directory())
    folder.mkdir(parents=True)
    name = f"gpbackup_{plugin.database.timestamp}_toc.yaml"
    (folder / name).write_text("contents")
    (folder / "offsets").write_text("2 0 2 4 6")
    there = f"cd {folder}; {{}}"
    parents = "../../.." + "/".join(["", *folder.parts[-3:], ""])
    plugin.shell(there.format(plugin.command("backup_file", parents + name))).succeeded()
    (folder / name).unlink()
    plugin.shell(there.format(f"umask 0; {plugin.command('restore_file', parents + name)}")).succeeded()
    assert (folder / name).read_text() == "contents"
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    line = there.format(plugin.command("restore_data_subset", parents + name, "offsets"))
    assert plugin.shell(line).succeeded().out == b"coen"
    assert served(agent) == 3


def test_failures_are_told_as_without_it(installed: Plugin, agent: Agent) -> None:
    database = installed.database
    alone = by(installed, "python")
    calls = [
        ["restore_data", database.table(99)],
        ["restore_file", database.file("missing")],
        ["backup_file", database.file("missing")],
        ["restore_data_subset", database.table(99), "/missing"],
        ["backup_data", "/not/a/backup"],
    ]
    for words in calls:
        own = alone.shell(alone.command(*words).replace(".sh ", ".sh --without-agent ")).failed()
        for client in CLIENTS:
            told = by(installed, client).run(*words).failed()
            assert (told.status, told.err, told.out) == (own.status, own.err, own.out)
    assert served(agent) == len(calls) * len(CLIENTS)


def test_what_it_must_not_serve_runs_by_itself_with_the_same_result(
    installed: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    plugin, database = installed, installed.database
    path = database.table()
    plugin.run("backup_data", path, stdin=b"rows").succeeded()
    assert served(agent) == 1
    # Another environment of credentials, or of what the configuration takes from it.
    database.extra["AWS_SECRET_ACCESS_KEY"] = "another"
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    del database.extra["AWS_SECRET_ACCESS_KEY"]
    # An unusual umask, which the agent's own does not have.
    assert plugin.shell(f"umask 0700; {plugin.command('restore_data', path)}").succeeded().out == b"rows"
    # Switched off; a configuration that can't be read; one with a mistake in it.
    off = write_config(tmp_path / "off.yaml", target.url, target.options, agent="off")
    assert plugin.run("restore_data", path, config=off).succeeded().out == b"rows"
    plugin.run("restore_data", path, config=tmp_path / "missing.yaml").failed("can't be read", status=2)
    wrong = write_config(tmp_path / "wrong.yaml", target.url, target.options, chunksize="1MB")
    plugin.run("restore_data", path, config=wrong).failed("unknown option 'chunksize'", status=2)
    # Others' commands.
    plugin.run("list_directory").succeeded()
    plugin.run("delete_backup", database.timestamp).succeeded()
    assert served(agent) == 1
    assert agent.ask("status")["refused"] == {UNUSUAL: 1, OFF: 1, ENVIRONMENT: 1, CONFIGURATION: 2}
    told = database.log().split("runs by itself: ")[1:]
    assert [line.partition("\n")[0].split(":")[0] for line in told] == [ENVIRONMENT, UNUSUAL, OFF, CONFIGURATION]
    assert f"{ENVIRONMENT}: AWS_SECRET_ACCESS_KEY\n" in told[0]


def test_a_call_has_the_nice_value_of_its_caller(local: Plugin, agent: Agent) -> None:
    """That of the database's server is the administrator's choice. It ends with the call."""
    database = local.database
    own = agent.ask("status")["nice"]
    workers = agent.ask("status")["workers"]
    for more in (7, 0):
        process = subprocess.Popen(
            ["nice", "-n", str(more), *local.command("backup_data", database.table(more)).split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=database.environment(),
        )
        wait_until_handed_over(agent, process)
        wait_until(partial(_have_nice_values, workers, {own, min(19, own + more)}))
        assert process.communicate(b"rows", timeout=PATIENCE) == (b"", b"")
        assert process.returncode == 0


def _have_nice_values(processes: list[int], expected: set[int]) -> bool:
    """Whether their threads have those, and no others."""
    found = set()
    for path in (path for pid in processes for path in Path(f"/proc/{pid}/task").glob("*/stat")):
        with suppress(OSError):  # it has ended
            found.add(int(path.read_text().rpartition(") ")[2].split()[16]))
    return found == expected


def test_why_calls_are_not_served_is_counted_and_told_once_a_run(local: Plugin, agent: Agent) -> None:
    database = local.database

    def refused(count: int) -> int:
        for _ in range(count):
            local.shell(f"umask 0700; {local.command('restore_data', path)}").succeeded()
        return database.log().count(f"runs by itself: {UNUSUAL}")

    hook(local, "setup_plugin_for_backup", "master")
    path = database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    assert refused(3) == 1
    hook(local, "setup_plugin_for_backup", "master", "20260102030406")
    assert refused(3) == 2
    shown = subprocess.run(
        [local.executable, "agent", "status"], env=database.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert f"not served: 6, as {UNUSUAL}\n" in shown
    agent.stop()
    assert f"3 commands served, 6 not, as {UNUSUAL}" in database.log()


def test_variables_that_its_target_does_not_ask_for_do_not_count(local: Plugin, agent: Agent) -> None:
    """The agent's environment is that of a session by ssh, with a ticket of its own; the server's has a proxy."""
    local.database.extra |= {
        "KRB5CCNAME": "FILE:/tmp/krb5cc_1000_Xy",
        "https_proxy": "http://proxy.example:3128",
        "CREDENTIALS_DIRECTORY": "/run/credentials/database.service",
        "AWS_SECRET_ACCESS_KEY": "another",
        "PIP_TOKEN": "token",
    }
    hook(local, "setup_plugin_for_backup", "master")
    assert agent.ask("status")["users"] == ["backup 20260102030405 coordinator"]
    before = served(agent)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert served(agent) == before + 1


def test_a_value_from_the_environment_is_the_callers(local: Plugin, agent: Agent, tmp_path: Path) -> None:
    """Two callers with one configuration and two values of `${NAME}` get what each asked for."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    database = local.database
    local.config = write_config(
        tmp_path / "variable.yaml",
        f"sftp://127.0.0.1:{closed_port()}/",
        {"username": "${SOMEBODY}"},
        timeout="1s",
        max_retries="0",
    )
    for name in ("one", "two"):
        database.extra["SOMEBODY"] = name
        local.run("restore_data", database.table()).failed()
    del database.extra["SOMEBODY"]
    local.run("restore_data", database.table()).failed("${SOMEBODY}", "not set", status=2)
    assert served(agent) == 2


def test_a_changed_configuration_or_file_of_secrets_is_another_store(
    installed: Plugin, target: Target, agent: Agent, tmp_path: Path
) -> None:
    plugin = installed
    secrets = tmp_path / "secrets.yaml"
    right = "key: minio-test-user\nsecret: minio-test-password\n"
    options = {name: value for name, value in target.options.items() if name not in ("key", "secret")}
    write_config(plugin.config, target.url, options, storage_options_file=str(secrets))
    path = plugin.database.table()
    for text, works in ((right, True), (right.replace("test-password", "wrong"), False), (right, True)):
        secrets.write_text(text)
        secrets.chmod(0o600)
        done = plugin.run("backup_data", path, stdin=b"rows")
        if works:
            done.succeeded()
        else:
            done.failed("the secret key does not match")
    write_config(plugin.config, f"{target.url}/elsewhere", options, storage_options_file=str(secrets))
    plugin.run("restore_data", path).failed("no such object")
    assert served(agent) == 4


def test_a_log_that_can_not_be_written_fails_nothing(local: Plugin, database: Database) -> None:
    logs = database.folder / "home" / "gpAdminLogs"
    logs.symlink_to("/dev/full/no")
    agent = Agent(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert local.run("restore_data", database.table()).succeeded().out == b"rows"
    assert served(agent) == 2


def test_a_full_disk_under_the_log_fails_nothing(local: Plugin, database: Database) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    logs = database.folder / "home" / "gpAdminLogs"
    logs.mkdir()
    mount("size=16k", logs)
    try:
        with suppress(OSError), open(logs / "full", "wb") as file:
            file.write(bytes(1 << 20))
        agent = Agent(database)
        for number in range(20):
            local.run("backup_data", database.table(number), stdin=b"rows").succeeded()
            assert local.run("restore_data", database.table(number)).succeeded().out == b"rows"
        assert served(agent) == 40
        agent.stop()
    finally:
        subprocess.run(["umount", str(logs)], check=True)
