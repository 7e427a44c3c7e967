"""Installations of each client, in which the package is a stand-in that tells what it was started with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec_gp_plugin
from tests.agent.fake_agent import PATIENCE
from tests.servers.fixtures import skip_unless_required

SOURCES = Path(fsspec_gp_plugin.__file__).parent / "agent"
LAUNCHER = Path("bin/fsspec_gp_plugin")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
CALL = ("backup_data", "/c.yaml", "/backups/20260102/20260102030405/gpbackup_0_20260102030405_16384")


@dataclass(frozen=True)
class Limits:
    """How long a client waits, in seconds: so long that no test ends by one, but for those about them."""

    answer: int = 60
    silence: float = 60.0
    last: float = 60.0

    def named(self) -> dict[str, float]:
        """By their names in the sources."""
        return {"ANSWER": self.answer, "SILENCE": self.silence, "LAST": self.last}


PATIENT = Limits()

# Tells the surroundings of a program, as far as they are its caller's, and ends with a status of its own.
ALONE = 77
STAND_IN = """\
import json, os, sys
if sys.stdin:
    data = sys.stdin.buffer.read()
    if sys.stdout:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink("/proc/self/fd/" + fd).partition(":")[0]
    except OSError:
        pass
with open(STATUS) as file:
    status = dict(line.split()[:2] for line in file if line.startswith("Sig"))
mask = os.umask(0)
try:
    cwd = os.getcwd()
except OSError:
    cwd = ""
with open(TOLD, "w") as file:
    told = {"arguments": sys.argv[1:], "environment": sorted(map(ascii, os.environb.items())), "umask": mask}
    json.dump(told | {"cwd": cwd, "fds": fds, "ignored": status["SigIgn:"], "blocked": status["SigBlk:"]}, file)
os._exit(77)
"""

# In the place of the launcher: a shell would change the signals, and so does Python.
LAUNCHER_IN_C = """\
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char text[8192], *words[100] = {PYTHON, "-I", "-S", "-X", "utf8", STAND_IN};
    int in = open("/proc/self/status", O_RDONLY), out = open(STATUS, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size = read(in, text, sizeof text);
    if (size <= 0 || write(out, text, size) != size)
        return 1;
    close(in), close(out);
    for (int i = 1; i < argc && i < 90; i++)
        words[5 + i] = argv[i];
    execv(PYTHON, words);
    return 1;
}
"""


@dataclass(frozen=True)
class Client:
    """An installation of one of the clients."""

    kind: str
    folder: Path

    @property
    def bin(self) -> Path:
        """Where its executables are."""
        return self.folder / "bin"

    @property
    def executable(self) -> Path:
        """What gpbackup calls."""
        return self.bin / "fsspec_gp_plugin"

    @property
    def without(self) -> list[str]:
        """What goes by no agent."""
        return [f"{self.executable}{'' if self.kind == 'python' else '.sh'}", "--without-agent"]

    def told(self) -> dict[str, Any]:
        """What the stand-in has told; nothing when it was not started."""
        path = self.folder / "told"
        if not path.exists():
            return {}
        found: dict[str, Any] = json.loads(path.read_text())
        path.unlink()
        return found


class Caller:
    """Calls a client, with a home and an environment of its own."""

    def __init__(self, client: Client, home: Path) -> None:
        self.client = client
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C",  # or Python would set another
            "GP_QUERY_STRING": "COPY t TO PROGRAM 'cat'",
            "NAME": "välue =\n",
        }
        if client.kind == "sanitized":
            self.environment["ASAN_OPTIONS"] = "detect_leaks=0"  # what exit() frees is none, and looking takes long
        # What the shell that starts the client does first.
        self.first = ""
        self.options: dict[str, Any] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        """Start it."""
        line = [*(command or [str(self.client.executable)]), *(words or CALL)]
        if self.first:
            line = ["sh", "-c", f'{self.first}; exec "$@"', "sh", *line]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            line, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe, **{"cwd": self.home, **self.options}
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a test that failed has left."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()

    def ran_alone(self, process: subprocess.Popen[bytes], *words: str) -> None:
        """It ends as the same call with no agent, started with all as it was and the data untouched."""
        first = ended(process, b"data"), self.client.told()
        without = ended(self.start(*words, command=self.client.without), b"data"), self.client.told()
        assert first == without, (first, without)
        (status, out, _), told = first
        assert (status, out) == (ALONE, self._echo), first
        arguments = list(words or CALL)
        assert told["arguments"] == (arguments if self.client.kind == "python" else ["--without-agent", *arguments])

    @property
    def _echo(self) -> bytes:
        return b"" if {"<&-", ">&-"} & set(self.first.split()) else b"data"


def ended(process: subprocess.Popen[bytes], data: bytes = b"") -> tuple[int, bytes, bytes]:
    """The exit status and what was written, when it has ended."""
    out, err = process.communicate(data, timeout=PATIENCE)
    return process.returncode, out, err


def compiler() -> str:
    """A C compiler; without one the test is skipped, or fails where it is required."""
    names = [os.environ.get("CC") or "cc", "gcc", "clang"]
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        skip_unless_required("cc", "there is no C compiler")
    return found


def compile_client(path: Path, *options: str, limits: Limits = PATIENT) -> None:
    """Compile the client in C."""
    defines = [f"-D{name}_MS={round(seconds * 1000)}" for name, seconds in limits.named().items()]
    compile_c(SOURCES / "client.c", path, f'-DVERSION="{fsspec_gp_plugin.__version__}"', *defines, *options)


def compile_c(source: Path, path: Path, *options: str) -> None:
    """Compile a program."""
    command = [compiler(), "-std=gnu11", "-O2", *options, str(source), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def install_c(folder: Path, kind: str = "c", limits: Limits = PATIENT) -> Client:
    """The client in C, and a launcher."""
    client = Client(kind, folder)
    client.bin.mkdir(parents=True)
    compile_client(client.executable, *(SANITIZERS if kind == "sanitized" else ()), limits=limits)
    stand_in = folder / "stand_in.py"
    stand_in.write_text(f"STATUS = {str(folder / 'status')!r}\nTOLD = {str(folder / 'told')!r}\n{STAND_IN}")
    launcher = client.bin / "fsspec_gp_plugin.sh"
    defines = {"STATUS": folder / "status", "PYTHON": sys.executable, "STAND_IN": stand_in}
    (folder / "launcher.c").write_text(LAUNCHER_IN_C)
    compile_c(folder / "launcher.c", launcher, *(f'-D{name}="{value}"' for name, value in defines.items()))
    return client


def install_python(folder: Path, limits: Limits = PATIENT) -> Client:
    """The launcher, the client in Python with other limits, and a package."""
    client = Client("python", folder)
    venv.create(folder, symlinks=True, with_pip=False)
    shutil.copy(LAUNCHER, client.executable)
    source = (SOURCES / "client.py").read_text()
    for name, seconds in limits.named().items():
        source, count = re.subn(rf"(?m)^{name}_SECONDS = [0-9.]+", f"{name}_SECONDS = {seconds}", source)
        assert count == 1
    (folder / "libexec/fsspec_gp_plugin").mkdir(parents=True)
    (folder / "libexec/fsspec_gp_plugin/client.py").write_text(source)
    package = next(folder.glob("lib/python3*/site-packages")) / "fsspec_gp_plugin"
    package.mkdir()
    (package / "__main__.py").write_text(f"STATUS = '/proc/self/status'\nTOLD = {str(folder / 'told')!r}\n{STAND_IN}")
    return client
