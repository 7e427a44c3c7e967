"""`doctor` on many hosts at once, by ssh: one row a host, and what differs from this one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..config.loading import load_config
from ..errors import UsageError
from ..redaction import scrub
from . import render
from .doctor_host import fingerprint, installed

if TYPE_CHECKING:
    from collections.abc import Sequence

_AT_ONCE = 32
_CONNECT_SECONDS = 10
# What a host may take: its steps have limits of their own.
_LONGEST = 240.0
_MOST_OUTPUT = 1 << 20


def compare(asked: Any, path: str) -> int:
    """Status 0 where all of them are well and like this one, else 1."""
    load_config(path)  # what is wrong with it here is told once
    hosts = _hosts(asked)
    command = _ssh(asked.ssh)
    remote = [installed(), "doctor", path, "--json", *(["--quick"] if asked.quick else [])]
    ours = fingerprint(path)
    rows = []
    with render.status() as say, ThreadPoolExecutor(_AT_ONCE) as pool:
        say(f"asking {len(hosts)} hosts")
        for row in pool.map(lambda host: _row(host, _answer([*command, host, shlex.join(remote)]), ours), hosts):
            rows.append(row)
            say(f"{len(rows)} of {len(hosts)} hosts have answered")
    if asked.json:
        render.as_json({"version": __version__, "configuration": ours, "hosts": rows})
    else:
        cells = [(row["host"], row["result"], row["version"] or "?", _told(row)) for row in rows]
        render.table(("HOST", "RESULT", "VERSION", "TOLD"), cells)
    return 1 if any(row["result"] in ("failed", "differs") for row in rows) else 0


def _hosts(asked: Any) -> list[str]:
    """Those that are named, each once, in order; UsageError."""
    names = (asked.hosts or "").split(",")
    if asked.hostfile is not None:
        try:
            with open(asked.hostfile, encoding="utf-8", errors="replace") as file:
                names += [line.partition("#")[0] for line in file]
        except OSError as error:
            raise UsageError(f"--hostfile {asked.hostfile} can't be read: {error.strerror}") from None
    hosts = list(dict.fromkeys(filter(None, map(str.strip, names))))
    if not hosts:
        raise UsageError("no hosts are named; expected --hosts a,b,c or --hostfile FILE with one a line")
    for host in hosts:
        if host.startswith("-") or not host.isprintable() or " " in host:
            raise UsageError(f"{host!r} is no name of a host")
    return hosts


def _ssh(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--ssh {text!r} can't be understood: {error}") from None
    if not words:
        raise UsageError("--ssh is empty; expected a command such as 'ssh -p 2222'")
    if os.path.basename(words[0]) == "ssh":
        words += ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
    return words


def _answer(command: Sequence[str]) -> dict[str, Any] | str:
    """What doctor says there, or why there is no answer."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_LONGEST:.0f} s; look at the host itself"
    except OSError as error:
        return f"{command[0]} can't be run: {error.strerror}; name another by --ssh"
    out = done.stdout[:_MOST_OUTPUT].decode(errors="replace")
    try:
        # Whatever a login shell prints comes before.
        answer = json.loads(out[max(0, out.find("{")) :])
        if isinstance(answer["steps"], list) and isinstance(answer["result"], str):
            return dict(answer)
    except (ValueError, KeyError, TypeError):
        pass
    lines = (done.stderr.decode(errors="replace").strip() or out.strip()).splitlines()
    said = f" ({scrub(lines[-1])[:200]})" if lines else ""
    if done.returncode == 255:
        return f"ssh can't reach it{said}; try `ssh {command[-2]}` by hand: it must ask for nothing"
    if done.returncode in (126, 127):
        return f"{installed()} can't be run there{said}; install the plugin at the same path"
    return f"it gives no answer, status {done.returncode}{said}; install the same version there"


def _row(host: str, answer: dict[str, Any] | str, ours: str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"host": host, "result": "failed", "version": "", "configuration": "", "differs": [], "told": answer}
    version, configuration = str(answer.get("version", "")), str(answer.get("configuration", ""))
    differs = []
    if version != __version__:
        differs.append(f"version {version} instead of {__version__}")
    if configuration and configuration != ours:
        differs.append("another configuration")
    steps = [step for step in answer["steps"] if isinstance(step, dict)]
    bad = [step for step in steps if step.get("status") == "failed"] or [
        step for step in steps if step.get("status") == "warning"
    ]
    told = "; ".join(f"{step.get('step')}: {step.get('told')}" for step in bad[:1])
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    result = answer["result"]
    return {
        "host": host,
        "result": "differs" if differs and result != "failed" else result,
        "version": version,
        "configuration": configuration,
        "differs": differs,
        "told": scrub(told + more),
    }


def _told(row: dict[str, Any]) -> str:
    return "; ".join([*row["differs"], *([row["told"]] if row["told"] else [])])
