"""`list` and `info`, as a person and a program call them. What they tell of damaged backups: test_verify.py."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.arranged import aged
from tests.cli.terminal import Terminal
from tests.protocol.caller import write_config
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin

T = "20260102030405"
PREFIX = f"backups/20260102/{T}"
REPORT = """\
Greenplum Database Backup Report

timestamp key:         {timestamp}
database name:         sales
command line:          gpbackup --dbname sales: all
backup section:        All Sections
incremental:           {incremental}

backup status:         {status}
"""


def backed_up(
    plugin: Plugin, timestamp: str = T, *, status: str = "Success", incremental: str = "False", tables: int = 3
) -> None:
    """A backup, as gpbackup makes it."""
    database = plugin.database
    database.timestamp = timestamp
    for number in range(tables):
        plugin.run("backup_data", database.table(number, number % 2), stdin=os.urandom(1000 * number)).succeeded()
    folder = Path(database.directory(-1))
    folder.mkdir(parents=True)
    report = REPORT.format(timestamp=timestamp, status=status, incremental=incremental)
    for name, text in (("toc.yaml", "toc"), ("report", report)):
        (folder / f"gpbackup_{timestamp}_{name}").write_text(text)
        plugin.run("backup_file", str(folder / f"gpbackup_{timestamp}_{name}")).succeeded()
    plugin.run("cleanup_plugin_for_backup", database.directory(-1), "segment_host").succeeded()


def asked(plugin: Plugin, *words: str, status: int = 0) -> dict[str, Any]:
    done = plugin.run(*words, "--json")
    assert (done.status, done.err) == (status, "")
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def test_what_backups_there_are(local: Plugin, tmp_path: Path) -> None:
    plugin = local
    assert plugin.run("list").succeeded().out.decode() == f"There are no backups at file://{tmp_path}/disk\n"
    backed_up(plugin)
    backed_up(plugin, "20260103030405", status="Failure", tables=0)
    backed_up(plugin, "20260104030405", incremental="True", tables=0)
    plugin.database.timestamp = "20260105030405"
    plugin.run("backup_data", plugin.database.table(), stdin=b"of a gpbackup that was killed").succeeded()
    told = asked(plugin, "list")["backups"]
    found = [tuple(one[name] for name in ("timestamp", "state", "kind", "database", "objects")) for one in told]
    assert found == [
        (T, "complete", "full", "sales", 5),
        ("20260103030405", "failed", "full", "sales", 2),
        ("20260104030405", "complete", "incremental", "sales", 2),
        ("20260105030405", "incomplete", "", "", 1),
    ]
    assert [one["manifests"] for one in told] == [1, 1, 1, 0]
    lines = plugin.run("list").succeeded().out.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["TIMESTAMP", *(one["timestamp"] for one in told)]
    assert "\x1b" not in "".join(lines)
    one = asked(plugin, "info", T)
    assert one["report"]["command line"] == "gpbackup --dbname sales: all"
    assert one["segments"] == {"0": 2000, "1": 1000}
    assert [header["objects"] for header in one["manifests"]] == [5]
    assert f"timestamp: {T}\nstate: complete" in plugin.run("info", T).succeeded().out.decode()
    plugin.run("info", "20200101000000").failed("there is no backup 20200101000000", status=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["info"], "the following arguments are required: TIMESTAMP"),
        (["info", "2026"], "is not a backup's timestamp"),
        (["verify", "--shard", "3/3"], "is not a shard"),
        (["list", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_call_is_one_line(local: Plugin, words: list[str], told: str) -> None:
    local.run(*words).failed(told, status=2)


def test_a_target_out_of_reach_is_one_line(local: Plugin) -> None:
    options = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "key": "k", "secret": "s"}
    write_config(local.config, "s3://bucket/x", options, max_retries="1")
    local.run("list").failed(f"127.0.0.1:{closed_port()}", status=3)


NO_NAME = ("http://no-such-host.invalid", "the host's name can't be resolved")
REFUSES = ("http://127.0.0.1:{closed}", "nothing listens there")
NO_TLS = ("https://127.0.0.1:{plain}", "does not speak TLS")


@pytest.mark.alone
@pytest.mark.parametrize(
    ("command", "endpoint", "told"),
    [
        ("list", *NO_NAME),
        ("list", *REFUSES),
        ("list", *NO_TLS),
        ("verify", *REFUSES),
        ("metrics", *NO_NAME),
        ("cleanup", *NO_TLS),
        ("doctor --quick", *NO_TLS),
    ],
)
def test_who_waits_is_told_within_ten_seconds_what_hardly_passes(
    local: Plugin, command: str, endpoint: str, told: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as plain:
        Thread(target=plain.serve_forever).start()
        place = endpoint.format(closed=closed_port(), plain=plain.server_port)
        write_config(local.config, "s3://bucket/x", {"endpoint_url": place, "key": "k", "secret": "s"})
        begun = time.monotonic()
        done = local.run(*command.split())
        seconds = time.monotonic() - begun
        plain.shutdown()
    assert done.status == 3
    assert told in done.err + done.out.decode()
    assert "tried" not in done.err + done.out.decode()
    assert seconds < 10


def test_a_terminal_tells_what_is_waited_for(local: Plugin) -> None:
    """Nobody takes these connections; the line comes once, and the tries are counted right."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = {"endpoint_url": endpoint, "key": "k", "secret": "s"}
        write_config(local.config, "s3://bucket/x", options, timeout="3s", max_retries="1")
        terminal = Terminal([str(local.executable), "list", str(local.config)], local.database.environment())
        assert terminal.end() == 3
    assert terminal.screen.count("waiting for s3://bucket/x, up to 30 s: ") == 1
    assert "tried 2 times in " in terminal.screen
    # Both attempts count, each of which took three seconds.
    assert 6 <= int(re.findall(r"tried 2 times in (\d+) s", terminal.screen)[0]) <= 60


def test_a_hostile_name_reaches_no_terminal(local: Plugin, tmp_path: Path) -> None:
    folder = tmp_path / "disk" / PREFIX
    folder.mkdir(parents=True)
    (folder / f"gpbackup_{T}_toc.yaml").write_text("toc")
    (folder / f"gpbackup_{T}_report").write_text("database name: \x1b[31m[red]evil\x07\nbackup status: Success\n")
    out = local.run("list").succeeded().out.decode() + local.run("info", T).succeeded().out.decode()
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "?[31m[red]evil?" in out


@pytest.mark.parametrize("plain", [True, False])
def test_a_terminal_has_colours_unless_they_are_not_wanted(local: Plugin, plain: bool) -> None:
    backed_up(local, tables=1)
    environment = {**local.database.environment(), "TERM": "xterm-256color", **({"NO_COLOR": "1"} if plain else {})}
    ours, theirs = pty.openpty()
    command = [str(local.executable), "list", str(local.config)]
    done = subprocess.run(command, env=environment, stdout=theirs, stderr=theirs, stdin=theirs, check=False)
    os.close(theirs)
    told = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert ("\x1b[32m" in told) != plain
    assert T in told


def test_reports_in_title_case_are_read(local: Plugin, tmp_path: Path) -> None:
    """As gpbackup wrote them up to 1.12; and one that can't be read is not taken for that of a complete backup."""
    texts = {
        "20180502010101": "Database Name: sales\nBackup Section: All Sections\n\nBackup Status: Success\n",
        "20180503010101": "Database Name: sales\nIncremental: True\n\nBackup Status: Success\n",
        "20180504010101": "<html>no report</html>\n",
        "20180505010101": "Database Name: sales\nBackup Section: All Sections\n\nBackup Status: Failure\n",
    }
    for timestamp, text in texts.items():
        folder = tmp_path / "disk" / "backups" / timestamp[:8] / timestamp
        folder.mkdir(parents=True)
        for name, content in (("report", text), ("toc.yaml", "toc")):
            (folder / f"gpbackup_{timestamp}_{name}").write_text(content)
    told = asked(local, "list")["backups"]
    assert [(one["database"], one["kind"], one["state"]) for one in told] == [
        ("sales", "full", "complete"),
        ("sales", "incremental", "complete"),
        ("", "", "unknown"),
        ("sales", "full", "failed"),
    ]
    assert asked(local, "metrics")["backups"] == {
        "complete": 2,
        "failed": 1,
        "incomplete": 0,
        "interrupted": 0,
        "unknown": 1,
        "broken": 0,
    }
    aged(tmp_path / "disk")
    [row] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (row["timestamp"], row["action"]) == ("20180505010101", "deleted")
    assert [one["state"] for one in asked(local, "list")["backups"]] == ["complete", "complete", "unknown"]


def test_no_more_than_20000_objects_are_counted_without_manifests(local: Plugin, tmp_path: Path) -> None:
    folder = tmp_path / "disk" / PREFIX
    folder.mkdir(parents=True)
    for number in range(20_005):
        (folder / f"gpbackup_0_{T}_{number}").touch()
    for name, text in (
        ("report", REPORT.format(timestamp=T, status="Success", incremental="False")),
        ("toc.yaml", "x"),
    ):
        (folder / f"gpbackup_{T}_{name}").write_text(text)
    [one] = asked(local, "list")["backups"]
    assert (one["objects"], one["counted"], one["state"]) == (20_000, False, "complete")
    row = local.run("list").succeeded().out.decode().splitlines()[1]
    assert re.search(r" 20,000\+ +[0-9]+ (B|KB)\+ ", row)
    [one] = asked(local, "prune", "--keep-full", "1")["backups"]
    assert one["counted"] is False
    [one] = asked(local, "metrics")["last"]
    assert (one["objects"], one["counted"]) == (20_000, False)
    one = asked(local, "info", T)
    assert (one["objects"], one["counted"]) == (20_007, True)
