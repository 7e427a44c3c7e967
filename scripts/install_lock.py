"""Installs a lock file by pip into the environment that runs this, and shows how far it is: a minute or two pass.

In a terminal one line changes each second; elsewhere there is a line every five seconds.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from threading import Thread
from typing import IO

_PIP = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check"]


class Progress:
    """What pip has done, by what it prints and by what lies in the environment."""

    def __init__(self) -> None:
        self.fetched = 0
        self.to_install = 0
        self._before = self._there()

    def follow(self, printed: IO[str] | None) -> None:
        """Read what pip prints, to its end."""
        for line in printed or ():
            if line.startswith("Collecting "):
                self.fetched += 1
            elif line.startswith("Installing collected packages: "):
                self.to_install = line.count(",") + 1

    def __str__(self) -> str:
        if self.to_install:
            return f"installed {len(self._there() - self._before)} of {self.to_install} packages"
        return f"fetched {self.fetched} packages"

    def _there(self) -> set[str]:
        return {path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info")}


def main(lock: str) -> int:
    """Install it; returns pip's exit status."""
    print(f"Installing {lock}", flush=True)
    progress = Progress()
    live = sys.stdout.isatty()
    with subprocess.Popen([*_PIP, "--require-hashes", "-r", lock], stdout=subprocess.PIPE, text=True) as pip:
        reader = Thread(target=progress.follow, args=(pip.stdout,))
        reader.start()
        started = time.monotonic()
        while reader.is_alive():
            reader.join(1 if live else 5)
            if reader.is_alive():
                line = f"  {progress}, {time.monotonic() - started:.0f} s"
                print(f"\r{line:<60}" if live else line, end="" if live else "\n", flush=True)
        if live:
            print(f"\r{'':60}\r", end="", flush=True)
        return pip.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
