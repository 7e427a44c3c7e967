"""`doctor` on many hosts by ssh: prints one row for each host, and how it differs from this one."""

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

# The limit for one host: its steps have limits of their own.
_LONGEST = 240.0
_MOST_OUTPUT = 1 << 20


def compare(arguments: Any, path: str) -> int:
    """Run `doctor` on all hosts; returns 0 if no step fails and no host differs from this one, else 1."""
    load_config(path)  # a mistake in it is reported once, not for each host
    hosts = hosts_of(arguments)
    ours = fingerprint(path)
    with render.status() as report_status, _written_here(path, replica=arguments.replica) as sees:
        report_status(f"waiting for {len(hosts)} host{'s' * (len(hosts) != 1)}")
        line = shlex.join([executable(), "doctor", path, "--json", *_flags(arguments), *sees])
        results = run_on(hosts, line, ssh=arguments.ssh, longest=_LONGEST)
    rows = [_row(result.host, _answer(result), ours) for result in results]
    if arguments.json:
        render.as_json({"version": __version__, "configuration": ours, "hosts": rows})
    else:
        cells = [(row["host"], row["result"], row["version"] or "?", _row_text(row)) for row in rows]
        render.table(("HOST", "RESULT", "VERSION", "TOLD"), cells)
    return 1 if any(row["result"] in ("failed", "differs") for row in rows) else 0


@contextmanager
def _written_here(path: str, *, replica: bool) -> Iterator[list[str]]:
    """Keep an object at the target that the other hosts must find; yields their arguments for it.

    Yields none if the object can't be written: then each host reports what is wrong with the target.
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


def _flags(arguments: Any) -> list[str]:
    return [f"--{name}" for name in ("quick", "replica") if getattr(arguments, name)]


def _answer(result: Result) -> dict[str, Any] | str:
    """The output of `doctor` on a host, or why there is none."""
    out = result.out[:_MOST_OUTPUT]
    try:
        # A login shell may print something before it.
        answer = json.loads(out[max(0, out.find("{")) :])
        if isinstance(answer["steps"], list) and isinstance(answer["result"], str):
            return dict(answer)
    except (ValueError, KeyError, TypeError):
        pass
    if result.status == TOO_LONG:
        return result.reason
    lines = (result.err.strip() or out.strip()).splitlines()
    last_line = f" ({scrub(lines[-1])[:200]})" if lines else ""
    if result.status == UNREACHED:
        return f"ssh can't reach it{last_line}; try `ssh {result.host}` by hand: it must work without a question"
    if result.status in (126, 127):
        return f"{executable()} can't be run there{last_line}; install the plugin at the same path"
    return f"no answer, status {result.status}{last_line}; install the same version there"


def _row(host: str, answer: dict[str, Any] | str, ours: str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"host": host, "result": "failed", "version": "", "configuration": "", "differs": [], "told": answer}
    version, configuration = str(answer.get("version", "")), str(answer.get("configuration", ""))
    differs = []
    if version != __version__:
        differs.append(f"version {version} instead of {__version__}")
    if configuration and configuration != ours:
        differs.append("different configuration")
    steps = [step for step in answer["steps"] if isinstance(step, dict)]
    bad = [step for step in steps if step.get("status") == "failed"] or [
        step for step in steps if step.get("status") == "warning"
    ]
    text = "; ".join(f"{step.get('step')}: {step.get('told')}" for step in bad[:1])
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    result = answer["result"]
    return {
        "host": host,
        "result": "differs" if differs and result != "failed" else result,
        "version": version,
        "configuration": configuration,
        "differs": differs,
        "told": scrub(text + more),
    }


def _row_text(row: dict[str, Any]) -> str:
    return "; ".join([*row["differs"], *([row["told"]] if row["told"] else [])])
