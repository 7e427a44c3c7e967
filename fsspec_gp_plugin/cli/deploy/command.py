"""`deploy`: installs a bundle at the same path on all hosts."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...age.key_files import is_path
from ...commands import PROGRAM
from ...config.loading import executable_path, load_config, read_config
from ...errors import ConfigError, UsageError
from ...redaction import scrub
from .. import render
from ..arguments import Parser
from ..hosts import UNREACHED, Result, add_arguments, hosts_of, run_on
from .bundle import copy_line, read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class _Host:
    """The state of one host; `step` is the last step that was started."""

    name: str
    step: str = "install"
    problem: str = ""
    version: str = ""
    doctor: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether no step has failed on this host."""
        return not self.problem

    def as_json(self) -> dict[str, Any]:
        """The host's entry in the JSON output."""
        return {
            "host": self.name,
            "state": "ok" if self.is_well else "failed",
            "step": self.step,
            "problem": self.problem,
            "version": self.version,
            "doctor": self.doctor,
            "notes": self.notes,
        }


def main(argv: Sequence[str]) -> int:
    """Install, copy the configuration, check, and print a row for each host; returns 1 if a host failed, else 0."""
    parser = Parser("deploy")
    parser.add_argument("directory", metavar="DIR", help="absolute path of the installation on each host")
    parser.add_argument("--bundle", metavar="ARCHIVE", required=True, help="the archive that scripts/bundle made")
    add_arguments(parser)
    parser.add_argument("--config", metavar="CONFIG", help="a configuration file to copy to the same path on each host")
    parser.add_argument(
        "--python", metavar="PATH", default="", help="Python on the hosts, if it is in none of the usual places"
    )
    parser.add_json()
    arguments = parser.parse_args(argv)
    directory = _absolute("DIR", arguments.directory)
    python = arguments.python and _absolute("--python", arguments.python)
    bundle = read_bundle(Path(arguments.bundle))
    token = secrets.token_hex(4)
    executable = f"{directory}/bin/{PROGRAM}"
    config, content, notes = _config(arguments.config, executable) if arguments.config else ("", b"", [])
    hosts = [_Host(name) for name in hosts_of(arguments)]

    def run(step: str, line: str, stdin: bytes | Path, then: Callable[[_Host, Result], None]) -> None:
        """Run a step on all hosts where no step has failed."""
        names = {host.name: host for host in hosts if host.is_well}
        if names and sys.stderr.isatty():
            sys.stderr.write(f"{step}: {len(names)} host{'s' * (len(names) > 1)} …\n")
        for host in names.values():
            host.step = step
        for result in run_on(list(names), line, stdin, arguments.ssh) if names else ():
            then(names[result.host], result)

    # Load all modules for the output now: the next step may replace the tree that this process runs from.
    _show(hosts, (), io.StringIO())
    run("install", bundle.install_line(directory, token, python), bundle.path, _note_failure)
    if config:
        run("config", copy_line(config, token), content, _note_failure)
    run("version", shlex.join([executable, "--version"]), b"", _note_version)
    if config:
        run("doctor", shlex.join([executable, "doctor", config, "--quick", "--json"]), b"", _note_doctor)
    if arguments.json:
        summary = {"directory": directory, "version": bundle.version, "config": config or None, "notes": notes}
        render.as_json({**summary, "hosts": [host.as_json() for host in hosts]})
    else:
        _show(hosts, notes)
    return 0 if all(host.is_well for host in hosts) else 1


def _absolute(what: str, path: str) -> str:
    if not path.startswith("/") or os.path.normpath(path) == "/" or re.search(r"[\x00-\x1f\x7f]", path):
        raise UsageError(f"{what} {path!r}: expected an absolute path, which is the same on every host")
    return os.path.normpath(path).replace("//", "/")


def _config(path: str, executable: str) -> tuple[str, bytes, list[str]]:
    """The configuration's absolute path, its content, and notes for the user."""
    path = os.path.abspath(path)
    text = read_config(path)
    config = load_config(path)
    named = executable_path(path, text)
    if not named:
        raise ConfigError(f"configuration file {path}: `executablepath: {executable}` is missing")
    if os.path.normpath(named) != executable:
        raise ConfigError(
            f"configuration file {path}: its executablepath is {named}, but DIR means {executable}; change one of them"
        )
    files = [target.storage_options_file for target in (config, config.replica) if target is not None]
    needed = dict.fromkeys(file for file in files if file)
    notes = [f"secrets are not copied: each host needs {file}, mode 0600" for file in needed]
    notes += [
        f"recipients are not copied: each host needs {file}"
        for file in dict.fromkeys((config.encryption_recipients, config.encryption_metadata_recipients))
        if is_path(file)
    ]
    return path, text.encode(), notes


def _note_failure(host: _Host, result: Result) -> None:
    if result.status:
        reason = scrub(result.reason)
        host.problem = f"can't be reached: {reason}" if result.status == UNREACHED else reason


def _note_version(host: _Host, result: Result) -> None:
    _note_failure(host, result)
    # A login shell may have printed something before.
    host.version = "".join(result.out.strip().splitlines()[-1:]).removeprefix(f"{PROGRAM} version ")


def _note_doctor(host: _Host, result: Result) -> None:
    if result.status == 2 and "unknown command" in result.err:
        host.notes.append("this version has no command `doctor`")
        return
    try:
        host.doctor = json.loads(result.out[result.out.index("{") :])
    except ValueError:
        host.doctor = None
    _note_failure(host, result)
    steps = host.doctor.get("steps") if isinstance(host.doctor, dict) else None
    for step in steps if host.problem and isinstance(steps, list) else ():
        if isinstance(step, dict) and step.get("status") == "failed":
            host.problem = scrub(f"{step.get('step')}: {step.get('told')}")
            break


def _show(hosts: Sequence[_Host], notes: Sequence[str], file: IO[str] | None = None) -> None:
    rows = [
        (
            host.name,
            "ok" if host.is_well else "failed",
            host.version or "?",
            f"{host.step}: {host.problem}" if host.problem else "; ".join(host.notes),
        )
        for host in hosts
    ]
    render.table(("HOST", "STATE", "VERSION", "DETAILS"), rows, wrapped="DETAILS", file=file)
    for note in notes:
        render.line(note)
