"""A server program of the tests: started, killed and started again on the same ports, ended with the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.children import start_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Program:
    """One process, which runs while this is a context. What it says goes to a log in `folder`."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        ready: Callable[[], object],
        environment: dict[str, str] | None = None,
    ) -> None:
        """`ready` returns as soon as the server takes requests, and raises OSError before."""
        self.log = folder / f"{os.path.basename(command[0])}.log"
        self._command = command
        self._ready = ready
        own = {"HOME": str(folder), "TMPDIR": str(folder)}
        self._environment = {"PATH": os.environ["PATH"], **own, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Program:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def start(self) -> None:
        """Start it, and wait until it takes requests."""
        with open(self.log, "ab") as log:
            self._process = start_child(self._command, self._environment, cwd=self.log.parent, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended with status {self._process.returncode}; see {self.log}")
            try:
                self._ready()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self._command[0]} did not become ready; see {self.log}")

    def kill(self) -> None:
        """End it as a crash does, with all that it has forked."""
        self._end(signal.SIGKILL)

    def _end(self, number: int = signal.SIGTERM) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
            self._process.wait(10)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None


def connects(port: int) -> Callable[[], object]:
    """A `ready` that is content with a connection to the port."""
    import socket

    return lambda: socket.create_connection(("127.0.0.1", port), timeout=2).close()
