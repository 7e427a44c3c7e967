"""`deploy`: the tree of a bundle, at the same path on all hosts."""

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

from ...commands import PROGRAM
from ...config.loading import load_config, read_config
from ...config.writing import executable_in
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
    """What became of one host: `step` is the last one that was begun."""

    name: str
    step: str = "install"
    problem: str = ""
    version: str = ""
    doctor: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing has failed there yet."""
        return not self.problem

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "host": self.name,
            "state": "ok" if self.is_well else "failed",
            "step": self.step,
            "problem": self.problem,
            "version": self.version,
            "doctor": self.doctor,
            "notes": self.notes,
        }


def main(arguments: Sequence[str]) -> int:
    """Install, copy the configuration, check; one row for each host. Returns 1 if any of them failed."""
    parser = Parser("deploy")
    parser.add_argument("directory", metavar="DIR", help="where the tree is to be on each host: an absolute path")
    parser.add_argument("--bundle", metavar="ARCHIVE", required=True, help="what scripts/bundle has made")
    add_arguments(parser)
    parser.add_argument("--config", metavar="CONFIG", help="a configuration to be copied to the same path on each host")
    parser.add_argument(
        "--python", metavar="PATH", default="", help="Python on the hosts, where it is in no usual place"
    )
    parser.add_json()
    asked = parser.parse_args(arguments)
    directory = _absolute("DIR", asked.directory)
    python = asked.python and _absolute("--python", asked.python)
    bundle = read_bundle(Path(asked.bundle))
    token = secrets.token_hex(4)
    executable = f"{directory}/bin/{PROGRAM}"
    config, content, notes = _config(asked.config, executable) if asked.config else ("", b"", [])
    hosts = [_Host(name) for name in hosts_of(asked)]

    def run(step: str, line: str, stdin: bytes | Path, then: Callable[[_Host, Result], None]) -> None:
        """Do a step on all hosts where nothing has failed."""
        names = {host.name: host for host in hosts if host.is_well}
        if names and sys.stderr.isatty():
            sys.stderr.write(f"{step}: {len(names)} host{'s' * (len(names) > 1)} …\n")
        for host in names.values():
            host.step = step
        for result in run_on(list(names), line, stdin, asked.ssh) if names else ():
            then(names[result.host], result)

    # Before the tree that this very process runs from may be exchanged: what will have to be loaded for the answer.
    _show(hosts, (), io.StringIO())
    run("install", bundle.install_line(directory, token, python), bundle.path, _note_failure)
    if config:
        run("config", copy_line(config, token), content, _note_failure)
    run("version", shlex.join([executable, "--version"]), b"", _note_version)
    if config:
        run("doctor", shlex.join([executable, "doctor", config, "--quick", "--json"]), b"", _note_doctor)
    if asked.json:
        told = {"directory": directory, "version": bundle.version, "config": config or None, "notes": notes}
        render.as_json({**told, "hosts": [host.as_json() for host in hosts]})
    else:
        _show(hosts, notes)
    return 0 if all(host.is_well for host in hosts) else 1


def _absolute(what: str, path: str) -> str:
    if not path.startswith("/") or os.path.normpath(path) == "/" or re.search(r"[\x00-\x1f\x7f]", path):
        raise UsageError(f"{what} {path!r}: expected an absolute path, the same on every host")
    return os.path.normpath(path).replace("//", "/")


def _config(path: str, executable: str) -> tuple[str, bytes, list[str]]:
    """The configuration's absolute path, its content, and what a person should know of it."""
    path = os.path.abspath(path)
    text = read_config(path)
    config = load_config(path)
    named = executable_in(text)
    if os.path.normpath(named) != executable:
        raise ConfigError(
            f"configuration file {path}: its executablepath is {named}, but what is installed is {executable}"
        )
    files = [target.storage_options_file for target in (config, config.replica) if target is not None]
    needed = dict.fromkeys(file for file in files if file)
    return path, text.encode(), [f"secrets are not copied: each host needs {file}, mode 0600" for file in needed]


def _note_failure(host: _Host, result: Result) -> None:
    if result.status:
        reason = scrub(result.reason)
        host.problem = f"can't be reached: {reason}" if result.status == UNREACHED else reason


def _note_version(host: _Host, result: Result) -> None:
    _note_failure(host, result)
    # A shell that reads its owner's files may have said more before.
    host.version = "".join(result.out.strip().splitlines()[-1:]).removeprefix(f"{PROGRAM} version ")


def _note_doctor(host: _Host, result: Result) -> None:
    if result.status == 2 and "unknown command" in result.err:
        host.notes.append("this version has no doctor")
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
