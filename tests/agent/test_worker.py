"""One worker by itself, in a process of its own, with clients that the test plays."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.worker import MOST_STREAMS
from tests.agent.conftest import wait_until, write_config
from tests.agent.played_client import PATIENCE, PlayedClient, request
from tests.protocol.conftest import PART
from tests.servers.faults import Answer
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.protocol.conftest import Target

# Nothing of a test depends on how long a client may take for its messages.
PROGRAM = """
import os, socket, struct, sys
from fsspec_gp_plugin.agent import refusals, slots, wire, worker
wire.ALIVE_SECONDS = float(sys.argv[3])
worker.DRAIN_SECONDS = float(sys.argv[4])
worker.LAST_SECONDS = float(sys.argv[5])
worker._PATIENCE = struct.pack("ll", 600, 0)
errors = [int(number) for number in sys.argv[6:]]
class Listener(socket.socket):
    def accept(self):
        if errors:
            raise OSError(errors.pop(), "from the test")
        return super().accept()
listener = Listener(fileno=int(sys.argv[1]))
worker.Worker(listener, slots.slots(1)[0], 1, (slots.Signs(), refusals.Refusals(1))).run(int(sys.argv[2]))
os._exit(0)  # as the agent's workers end
"""
OFTEN, NEVER = 0.05, 3600.0
FILE = "/backups/20260102/20260102030405/gpbackup_0_20260102030405_16384"


class Work:
    """The worker's process, and how to be its client."""

    def __init__(self, folder: Path, stack: ExitStack, settings: Sequence[float], environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {"HOME": str(folder), **environment}
        self._stack = stack
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, directory)
        self._address = wire.address(directory, "worker")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self._address)
        listener.listen(256)
        ending, self._parent = os.pipe()
        self.process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-I", "-c", PROGRAM, str(listener.fileno()), str(ending), *map(str, settings)],
                env=self.environment,
                pass_fds=[listener.fileno(), ending],
            )
        )
        os.close(ending)
        listener.close()
        stack.callback(self.process.kill)

    def client(self) -> PlayedClient:
        """One more."""
        client = PlayedClient(self._address)
        self._stack.callback(client.close)
        return client

    def begun(self) -> tuple[PlayedClient, int]:
        """A client whose backup_data has begun, and the end of the pipe from which it reads."""
        client = self.client()
        assert client.ask(self.request()) == wire.TAKEN
        reads, feeds = os.pipe()
        hand_over(client, reads)
        return client, feeds

    def request(self, config: str = "config.yaml", command: str = "backup_data", **environment: str) -> bytes:
        """For a backup_data to the disk, unless a configuration or another command says otherwise."""
        path = self.folder / config
        if not path.exists():
            (self.folder / "disk").mkdir()
            write_config(path, f"file://{self.folder}/disk")
        return request(command, str(path), FILE, environment={**self.environment, **environment})

    def end(self) -> None:
        """As when the agent's first process ends; it is over when nobody can connect any more."""
        os.close(self._parent)
        with suppress(ConnectionRefusedError):
            while True:
                self.client().close()
                time.sleep(0.01)


def hand_over(client: PlayedClient, reads: int) -> None:
    """Let the command begin, whose input is a pipe."""
    client.hand_over([reads, *(os.open("/dev/null", os.O_WRONLY) for _ in range(2))])


@contextmanager
def working(
    folder: Path,
    alive: float = NEVER,
    *,
    drain: float = NEVER,
    last: float = NEVER,
    errors: Sequence[int] = (),
    **environment: str,
) -> Iterator[Work]:
    """A worker; it says of each command that it goes on so often, and after TERM gives them `drain` seconds, and `last`
    more to what ends by then. Its first clients are `errors` of accept().
    """
    with ExitStack() as stack:
        yield Work(folder, stack, (alive, drain, last, *errors), environment)


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
    with working(tmp_path, NEVER) as work:
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


def test_a_command_that_fails_ends_though_nobody_reads_its_standard_error(tmp_path: Path) -> None:
    """It would hold the caller's pipes, and the agent could not end."""
    with working(tmp_path) as work:
        reads, full = os.pipe()
        os.set_blocking(full, False)
        with suppress(BlockingIOError):
            while os.write(full, b"x" * 4096):
                pass
        os.set_blocking(full, True)
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
