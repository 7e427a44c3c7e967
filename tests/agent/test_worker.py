"""What one worker promises, by itself, to clients that the test plays."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.worker import MOST_STREAMS
from tests.agent.conftest import wait_until, write_config
from tests.agent.lone_worker import FILE, OFTEN, working
from tests.agent.pipes import full_pipe
from tests.agent.played_client import PATIENCE, request
from tests.protocol.conftest import PART
from tests.servers.faults import Answer
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.conftest import Target


def test_a_command_that_takes_long_is_told_to_go_on(tmp_path: Path) -> None:
    """Whatever it waits for: without a word the client gives up after two minutes."""
    with working(tmp_path, OFTEN) as work:
        client, feeds = work.begun()
        assert [client.hear() for _ in range(3)] == [wire.ALIVE] * 3
        os.write(feeds, b"rows")
        assert [client.hear() for _ in range(3)] == [wire.ALIVE] * 3
        os.close(feeds)
        assert client.hear_end() == 0
    assert [path.read_bytes() for path in tmp_path.glob("disk/backups/*/*/gpbackup*")] == [b"rows"]


def test_a_worker_that_takes_no_more_lets_its_commands_end_and_says_that_they_go_on(tmp_path: Path) -> None:
    with working(tmp_path, OFTEN) as work:
        client, feeds = work.begun()
        work.end()
        assert [client.hear() for _ in range(3)] == [wire.ALIVE] * 3
        os.write(feeds, b"rows")
        os.close(feeds)
        assert client.hear_end() == 0
        assert work.process.wait(PATIENCE) == 0


def test_after_term_a_worker_takes_no_more_and_its_commands_end(tmp_path: Path) -> None:
    with working(tmp_path) as work:
        client, feeds = work.begun()
        work.process.terminate()
        answer = wire.TAKEN
        while answer == wire.TAKEN:
            another = work.client()
            answer = another.ask(work.request())
            another.close()
        assert answer == wire.REFUSED
        # Each hears it at once, however many come, and though one of them says nothing.
        silent = work.client()
        assert [work.client().ask(work.request()) for _ in range(20)] == [wire.REFUSED] * 20
        silent.close()
        os.write(feeds, b"rows")
        os.close(feeds)
        assert client.hear_end() == 0
        assert work.process.wait(PATIENCE) == 0
    assert [path.read_bytes() for path in tmp_path.glob("disk/backups/*/*/gpbackup*")] == [b"rows"]


def test_a_term_that_comes_before_a_worker_is_ready_for_it_counts(tmp_path: Path) -> None:
    with working(tmp_path, EARLY_TERM="1") as work:
        assert work.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("how", ["TERM", "killed, then the agent ends"])
def test_what_a_worker_that_ends_has_aborted_is_taken_back(tmp_path: Path, target: Target, how: str) -> None:
    """KILL would come next, and leave an unfinished upload. The store needs longer than the client is let wait."""
    assert target.minio is not None
    with Proxy(target.minio.endpoint) as proxy:
        through = {**target.options, "endpoint_url": proxy.endpoint}
        write_config(tmp_path / "config.yaml", target.url, through, backup_multipart_chunksize="5MB")
        with working(tmp_path, drain=0.0) as work:
            client, feeds = work.begun()
            for _ in range(3 * PART >> 20):
                os.write(feeds, os.urandom(1 << 20))
            wait_until(target.unfinished_uploads)
            refused = Answer(lambda request: request.method == "DELETE", times=4)
            proxy.faults.append(refused)
            if how == "TERM":
                work.process.terminate()
                assert client.hear_end() == 128 + signal.SIGTERM
            else:
                client.close()
                wait_until(lambda: refused.seen)
                work.end()
            assert work.process.wait(PATIENCE) == 0
            os.close(feeds)
    assert target.keys() == []


def test_a_command_that_nothing_ends_does_not_keep_a_worker_after_term(tmp_path: Path) -> None:
    """Its output is a socket that nobody reads, so it waits in the kernel for ever."""
    with working(tmp_path, drain=0.0, last=0.5) as work:
        client, feeds = work.begun()
        os.write(feeds, bytes(60_000))
        os.close(feeds)
        assert client.hear_end() == 0
        full, nobody = socket.socketpair()
        full.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        client = work.client()
        assert client.ask(work.request(command="restore_data")) == wire.TAKEN
        client.hand_over([os.open("/dev/null", os.O_RDWR), full.detach(), os.open("/dev/null", os.O_WRONLY)])
        with nobody:
            assert nobody.recv(1)
            work.process.terminate()
            assert work.process.wait(PATIENCE) == 0


def test_more_than_64_commands_at_a_time_are_refused(tmp_path: Path) -> None:
    assert MOST_STREAMS == 64
    with working(tmp_path) as work:
        for _ in range(63):
            work.client()  # it may say what it wants at any time
        last, feeds = work.begun()
        assert work.client().ask(work.request()) == wire.REFUSED
        os.close(feeds)
        assert last.hear_end() == 0
        # There is room again, a moment after the end was told.
        while (answer := work.client().ask(work.request())) == wire.REFUSED:
            pass
        assert answer == wire.TAKEN


def test_after_an_error_of_accept_the_next_client_is_served(tmp_path: Path) -> None:
    """The socket is every worker's: none shuts it down."""
    with working(tmp_path, errors=[errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ECONNABORTED]) as work:
        for _ in range(2):
            client, feeds = work.begun()
            os.close(feeds)
            assert client.hear_end() == 0
        work.end()
        assert work.process.wait(PATIENCE) == 0


def test_a_long_line_is_cut_so_that_it_fits_where_there_is_room(tmp_path: Path) -> None:
    """Of a pipe that can be written to only a page is sure to be free."""
    with working(tmp_path) as work:
        reads, writes = os.pipe()
        fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 8192)
        assert os.write(writes, bytes(4096)) == 4096
        client = work.client()
        missing = FILE.rpartition("/")[0] + "/gpbackup_" + 1200 * "\u00fc\u00fc\u00fc"
        work.request()
        config = str(tmp_path / "config.yaml")
        assert client.ask(request("restore_data", config, missing, environment=work.environment)) == wire.TAKEN
        client.hand_over([*(os.open("/dev/null", os.O_RDWR) for _ in range(2)), writes])
        assert client.hear_end() != 0
        line = os.read(reads, 1 << 16)[4096:].decode()
        assert line.startswith("fsspec_gp_plugin: restore_data: ")
        assert line.endswith("\u00fc\n")
        os.close(reads)


NICE_CLIENT = """
import os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.stdin.buffer.read())
assert line.recv(1) == b"T"
null = os.open("/dev/null", os.O_RDWR)
socket.send_fds(line, [b"G"], [null, null, null, os.eventfd(1, os.EFD_NONBLOCK)])
while line.recv(100):
    pass
"""


def test_who_has_served_a_nice_caller_waits_for_no_other(tmp_path: Path) -> None:
    """Though it is the only one: threads that it started would be as nice for good."""
    with working(tmp_path, FEW_THREADS="1") as work:
        command = ["nice", "-n", "5", sys.executable, "-I", "-c", NICE_CLIENT, work.address]
        subprocess.run(command, input=work.request(), pass_fds=[work.directory], check=True, timeout=PATIENCE)
        usual = os.getpriority(os.PRIO_PROCESS, work.process.pid)
        tasks = f"/proc/{work.process.pid}/task"
        wait_until(lambda: len(os.listdir(tasks)) > 1 and set(map(nice_value, os.listdir(tasks))) == {usual})
        client, feeds = work.begun()
        os.close(feeds)
        assert client.hear_end() == 0


def nice_value(thread: str) -> int:
    """That of a thread, or of ours where it has ended."""
    with suppress(ProcessLookupError):
        return os.getpriority(os.PRIO_PROCESS, int(thread))
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_a_command_that_fails_ends_though_nobody_reads_its_standard_error(tmp_path: Path) -> None:
    """It would hold the caller's pipes, and the agent could not end."""
    with working(tmp_path) as work:
        reads, full = full_pipe()
        client = work.client()
        assert client.ask(work.request(command="restore_data")) == wire.TAKEN
        client.hand_over([*(os.open("/dev/null", os.O_RDWR) for _ in range(2)), full])
        assert client.hear_end() != 0
        os.close(reads)


def test_the_environment_counts_for_the_replica_too(tmp_path: Path) -> None:
    """The variable is one that only a target by SSH asks for."""
    (tmp_path / "disk").mkdir()
    write_config(tmp_path / "both", f"file://{tmp_path}/disk", replica_url="sftp://127.0.0.1:1/backups")
    write_config(tmp_path / "one", f"file://{tmp_path}/disk")
    with working(tmp_path, SSH_AUTH_SOCK="/one") as work:
        assert work.client().ask(work.request("both", SSH_AUTH_SOCK="/one")) == wire.TAKEN
        assert work.client().ask(work.request("both", SSH_AUTH_SOCK="/other")) == wire.REFUSED
        assert work.client().ask(work.request("one", SSH_AUTH_SOCK="/other")) == wire.TAKEN


def test_credentials_that_were_renewed_count_after_a_refusal(tmp_path: Path, target: Target) -> None:
    """No file that the worker watches has changed: a program gives them, which is asked once for each store."""
    given, settings = tmp_path / "given.json", tmp_path / "settings"
    settings.write_text(f"[default]\ncredential_process = cat {given}\n")
    options = {name: value for name, value in target.options.items() if name not in ("key", "secret")}
    write_config(tmp_path / "config.yaml", target.url, options)
    statuses = []
    with working(tmp_path, AWS_CONFIG_FILE=str(settings), PATH=os.environ["PATH"]) as work:
        for secret in ("expired-password", target.options["secret"]):
            credentials = {"Version": 1, "AccessKeyId": target.options["key"], "SecretAccessKey": secret}
            given.write_text(json.dumps(credentials))
            client, feeds = work.begun()
            os.close(feeds)
            statuses.append(client.hear_end())
    assert statuses == [1, 0]
    assert len(target.keys()) == 1
