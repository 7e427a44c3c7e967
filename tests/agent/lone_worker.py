"""One worker by itself, in a process of its own, with clients that the test plays."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from fsspec_gp_plugin.agent import wire
from tests.agent.conftest import write_config
from tests.agent.played_client import PlayedClient, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Nothing of a test depends on how long a client may take for its messages.
PROGRAM = """
import _thread, os, signal, socket, struct, sys
from fsspec_gp_plugin.agent import shared_counters, wire, worker
wire.ALIVE_SECONDS = float(sys.argv[3])
worker.DRAIN_SECONDS = float(sys.argv[4])
worker.LAST_SECONDS = float(sys.argv[5])
worker._RECEIVE_TIMEOUT = struct.pack("ll", 600, 0)
errors = [int(number) for number in sys.argv[6:]]
class Listener(socket.socket):
    def accept(self):
        if errors:
            raise OSError(errors.pop(), "from the test")
        return super().accept()
class Threads:  # the system gives none for the second
    def __init__(self):
        self.count = 0
    def start_new_thread(self, *work):
        self.count += 1
        if self.count == 2:
            raise RuntimeError("from the test")
        return _thread.start_new_thread(*work)
if os.environ.get("FEW_THREADS"):
    worker._thread = Threads()
if os.environ.get("EARLY_TERM"):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)
listener = Listener(fileno=int(sys.argv[1]))
shared = shared_counters.LastCommands(), shared_counters.RefusalCounts(1)
worker.Worker(listener, shared_counters.slots(1)[0], 1, shared).run(int(sys.argv[2]))
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
        self.directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, self.directory)
        self.address = wire.address(self.directory, "worker")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self.address)
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
        client = PlayedClient(self.address)
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
