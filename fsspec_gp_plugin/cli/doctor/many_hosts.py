"""`doctor` on many hosts at once, by ssh: one row a host, and what differs from this one."""

from __future__ import annotations

import json
import secrets
import shlex
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ... import __version__, private
from ...backups.probing import unique_name
from ...config.loading import load_config
from ...errors import StorageError
from ...installation import executable
from ...redaction import scrub
from .. import render
from ..hosts import TOO_LONG, UNREACHED, hosts_of, run_on
from ..open_target import open_target
from .host import fingerprint
from .target import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..hosts import Result

# What a host may take: its steps have limits of their own.
_LONGEST = 240.0
_MOST_OUTPUT = 1 << 20


def compare(asked: Any, path: str) -> int:
    """Status 0 where all of them are well and like this one, else 1."""
    load_config(path)  # what is wrong with it here is told once
    hosts = hosts_of(asked)
    ours = fingerprint(path)
    with render.status() as say, _written_here(path, replica=asked.replica) as sees:
        say(f"asking {len(hosts)} hosts")
        line = shlex.join([executable(), "doctor", path, "--json", *_flags(asked), *sees])
        results = run_on(hosts, line, ssh=asked.ssh, longest=_LONGEST)
    rows = [_row(result.host, _answer(result), ours) for result in results]
    if asked.json:
        render.as_json({"version": __version__, "configuration": ours, "hosts": rows})
    else:
        cells = [(row["host"], row["result"], row["version"] or "?", _told(row)) for row in rows]
        render.table(("HOST", "RESULT", "VERSION", "TOLD"), cells)
    return 1 if any(row["result"] in ("failed", "differs") for row in rows) else 0


@contextmanager
def _written_here(path: str, *, replica: bool) -> Iterator[list[str]]:
    """Within it an object lies at the target that this host has written; yields what lets the others look for it.

    Nothing where it can't be written: then each host tells what is wrong with the target.
    """
    key, token = f"{FOLDER}{unique_name('.')}/seen", secrets.token_hex(16)
    with open_target(path, replica=replica) as (_, store):
        try:
            if store.files is not None:
                store.files.make_root()
            store.put(key, memoryview(token.encode()))
        except StorageError:
            yield []
            return
        try:
            yield ["--sees", private.host(), key, token]
        finally:
            with suppress(StorageError):
                store.delete([key])
                store.delete_empty_directories(key.rpartition("/")[0] + "/")


def _flags(asked: Any) -> list[str]:
    return [f"--{name}" for name in ("quick", "replica") if getattr(asked, name)]


def _answer(asked: Result) -> dict[str, Any] | str:
    """What doctor says there, or why there is no answer."""
    out = asked.out[:_MOST_OUTPUT]
    try:
        # Whatever a login shell prints comes before.
        answer = json.loads(out[max(0, out.find("{")) :])
        if isinstance(answer["steps"], list) and isinstance(answer["result"], str):
            return dict(answer)
    except (ValueError, KeyError, TypeError):
        pass
    if asked.status == TOO_LONG:
        return asked.reason
    lines = (asked.err.strip() or out.strip()).splitlines()
    said = f" ({scrub(lines[-1])[:200]})" if lines else ""
    if asked.status == UNREACHED:
        return f"ssh can't reach it{said}; try `ssh {asked.host}` by hand: it must ask for nothing"
    if asked.status in (126, 127):
        return f"{executable()} can't be run there{said}; install the plugin at the same path"
    return f"it gives no answer, status {asked.status}{said}; install the same version there"


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
