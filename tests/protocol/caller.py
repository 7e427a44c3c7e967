"""Calls the installed executable as gpbackup, gpbackup_helper and the database's server do."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from fsspec_gp_plugin.agent.admission import COMMANDS
from tests.protocol.agents import EXECUTABLE, Agent, ask_agent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# As in the server's environment: values that stop any Python, or load the wrong libraries, if they get through.
_WRONG = "/usr/local/greenplum-db/not-there"


@dataclass
class Result:
    """How one call ended."""

    status: int
    out: bytes
    err: str

    def succeeded(self) -> Result:
        """Status 0 and not one byte on standard error, which would hang a restore."""
        assert self.status == 0, (self.status, self.err)
        assert self.err == ""
        return self

    def failed(self, *words: str, status: int | None = None) -> Result:
        """Another status, and one line on standard error that holds the words."""
        assert self.status != 0, "it succeeded"
        if status is not None:
            assert self.status == status, (self.status, self.err)
        assert self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("fsspec_gp_plugin: "), self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self.err
        return self


@dataclass
class Database:
    """A make-believe segment host: data directories, a home for logs, the environment of the database."""

    folder: Path
    timestamp: str = "20260102030405"
    extra: dict[str, str] = field(default_factory=dict)
    agent: Agent | None = None

    def called(self, command: str) -> None:
        """Start an agent for a command that it can run, where the test wants one and there is none yet."""
        if not Agent.wanted:
            return
        home = str(self.folder / "home")
        if command not in COMMANDS:
            with suppress(OSError):  # a cleanup hook may end it
                ask_agent(home, "status")
            return
        with Agent.lock:
            Agent.calls += 1
            # A setup hook may have started one, a cleanup hook may have ended it.
            with suppress(OSError):
                if not ask_agent(home, "status")["ending"]:
                    return
            self.agent = Agent(self)

    def __post_init__(self) -> None:
        """Lay the directories out."""
        Agent.homes.append(str(self.folder / "home"))
        for name in ("home", "gpseg-1", "gpseg0", "gpseg1", "wrong-libraries", "wrong-python"):
            (self.folder / name).mkdir(mode=0o700)
        for library in ("libssl.so.3", "libssl.so.1.1", "libcrypto.so.3", "libffi.so.8", "libpython3.11.so.1.0"):
            (self.folder / "wrong-libraries" / library).write_text("not a library")
        for module in ("yaml", "fsspec", "fsspec_gp_plugin", "encodings", "sitecustomize", "logging"):
            (self.folder / "wrong-python" / f"{module}.py").write_text("raise RuntimeError('the wrong Python path')")
        # Only OpenSSL's base provider: without its default one nothing can be signed or encrypted.
        lines = "openssl_conf = i\n[i]\nproviders = p\n[p]\nbase = b\n[b]\nactivate = 1\n"
        (self.folder / "openssl.cnf").write_text(lines)

    def environment(self) -> dict[str, str]:
        """What a plugin process inherits from the server."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "GPHOME": str(self.folder),
            "OPENSSL_CONF": str(self.folder / "openssl.cnf"),
            "PYTHONHOME": _WRONG,
            "PYTHONPATH": str(self.folder / "wrong-python"),
            "PYTHONSTARTUP": f"{_WRONG}/startup.py",
            "PYTHONWARNINGS": "default",
            "LD_LIBRARY_PATH": str(self.folder / "wrong-libraries"),
            "GP_QUERY_STRING": "COPY t TO PROGRAM 'gzip -c -1'",
            "LC_ALL": "C",
            "TZ": "UTC",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            **self.extra,
        }

    def directory(self, segment: int = 0) -> str:
        """The local backup directory of a segment, which need not exist."""
        return f"{self.folder}/gpseg{segment}/backups/{self.timestamp[:8]}/{self.timestamp}"

    def file(self, name: str, segment: int = 0) -> str:
        """A path in it."""
        return f"{self.directory(segment)}/{name}"

    def table(self, oid: int = 16384, segment: int = 0, suffix: str = "") -> str:
        """The path of a table's data."""
        return self.file(f"gpbackup_{segment}_{self.timestamp}_{oid}{suffix}", segment)

    def key(self, path: str) -> str:
        """The object of a path."""
        return "/".join(path.split("/")[-4:])

    def log(self) -> str:
        """All that was logged. In a test with an agent, the agent's lines about itself are left out."""
        files = (self.folder / "home" / "gpAdminLogs").glob("fsspec_gp_plugin_*.log")
        lines = "".join(file.read_text() for file in sorted(files)).splitlines(keepends=True)
        return "".join(line for line in lines if not (Agent.wanted and "]:-agent" in line))


# One that was killed and not read to its end keeps its pipes until garbage is collected, which is a warning by then.
_processes: list[subprocess.Popen[bytes]] = []


def _started(*arguments: Any, **keywords: Any) -> subprocess.Popen[bytes]:
    _processes.append(subprocess.Popen(*arguments, **keywords))
    return _processes[-1]


def close_pipes() -> None:
    """Close those of the processes that have ended: at the end of a test nobody needs them."""
    for process in [process for process in _processes if process.poll() is not None]:
        _processes.remove(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()


@dataclass
class Plugin:
    """The plugin with one configuration on one host."""

    database: Database
    config: Path
    executable: Path = EXECUTABLE

    def command(self, *words: str, config: Path | None = None) -> str:
        """The command line that a caller makes: nothing quoted."""
        self.database.called(words[0])
        return " ".join([str(self.executable), words[0], str(config or self.config), *words[1:]])

    def shell(self, line: str, stdin: bytes = b"", *, shell: str = "bash", seconds: float = 120) -> Result:
        """Run a line as gpbackup does: by `bash -c`, from the user's home."""
        done = subprocess.run(
            [shell, "-c", line],
            input=stdin,
            capture_output=True,
            env=self.database.environment(),
            cwd=self.database.folder / "home",
            timeout=seconds,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def run(self, *words: str, stdin: bytes = b"", config: Path | None = None, seconds: float = 120) -> Result:
        """One command by `bash -c`."""
        return self.shell(self.command(*words, config=config), stdin, seconds=seconds)

    def server(
        self, line: str, *, stdin: Any = subprocess.PIPE, descriptors: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a line as the server's COPY PROGRAM does: `sh -c` in the segment's data directory, umask 0077,
        nice 19, signals ignored, the server's descriptors inherited.
        """
        return _started(
            ["nice", "-n", "19", "sh", "-c", f"trap '' USR2 TTIN TTOU XFSZ; {line}"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.database.environment(),
            cwd=self.database.folder / "gpseg0",
            umask=0o077,
            pass_fds=descriptors,
        )

    def start(self, *words: str, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start the executable itself, so that the process id is the plugin's."""
        self.database.called(words[0])
        return _started(
            [str(self.executable), words[0], str(self.config), *words[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.database.environment(),
            cwd=self.database.folder / "home",
            **kwargs,
        )

    def setup(self, hook: str, segment: int = 0) -> None:
        """The setup or cleanup hook of every scope, as the coordinator and ssh call it."""
        here = self.database.directory
        # The coordinator's shell leaves the quotes around the content id.
        for scope, content in (("master", '\\"-1\\"'), ("segment_host", ""), ("segment", f'\\"{segment}\\"')):
            self.run(hook, here(-1 if scope == "master" else segment), scope, content).succeeded()


def write_config(path: Path, url: str, options: dict[str, Any] | None = None, **others: Any) -> Path:
    """A configuration as gpbackup leaves it on each host: rewritten, every value quoted.

    The directory of a file:// URL is made, as no command but the coordinator's setup hook does that; not where
    `auto_mkdir` is false.
    """
    if url.startswith("file:///") and (options or {}).get("auto_mkdir", True):
        with suppress(OSError):  # the test is about what can't be made
            os.makedirs(url.removeprefix("file://"), mode=0o700, exist_ok=True)
    agent = "on" if Agent.wanted else "off"
    # A home of the test's own for what the host remembers, as the user's is the same for all tests.
    state = "${HOME}/.fsspec_gp_plugin"
    values = {
        "url": url,
        "state_directory": state,
        "pgport": "5432",
        "backup_plugin_version": "",
        "agent": agent,
        **others,
    }
    if options:
        values["storage_options"] = yaml.safe_dump(options)
    document = {"executablepath": str(EXECUTABLE), "options": {name: str(value) for name, value in values.items()}}
    path.write_text(yaml.dump(document, default_style='"'))
    return path


def quoted(path: object) -> str:
    """For lines of our own, where the caller would not need quotes."""
    return shlex.quote(str(path))
