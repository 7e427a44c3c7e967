"""The client in C: what a compiler and random answers find in it."""

from __future__ import annotations

import random
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import ALONE, CALL, Client, Limits, compile_client, install_c
from tests.agent.fake_agent import PATIENCE, FakeAgent

if TYPE_CHECKING:
    from pathlib import Path

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
LIMITS = Limits(answer=1, silence=0.5)
ANSWERS = 300


@pytest.mark.parametrize("optimised", ["-O0", "-O2", "-O3"])
def test_it_compiles_without_a_warning(tmp_path: Path, optimised: str) -> None:
    """Some are only found on the way to optimising."""
    compile_client(tmp_path / "client", *WARNINGS, optimised)


@pytest.mark.parametrize("broken", ["missing", "not executable"])
def test_without_its_launcher_it_says_so(tmp_path: Path, broken: str) -> None:
    client = install_c(tmp_path / "installation")
    launcher = client.bin / "fsspec_gp_plugin.sh"
    if broken == "missing":
        launcher.unlink()
        reason = "No such file or directory"
    else:
        launcher.chmod(0o644)
        reason = "Permission denied"
    done = subprocess.run([client.executable, *CALL], capture_output=True, text=True, check=False, env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fsspec_gp_plugin: can't run {launcher}: {reason}\n"


def test_random_answers_do_no_harm(tmp_path: Path) -> None:
    """It never crashes, never waits for longer than its limits, and succeeds only when the agent says so."""
    client = install_c(tmp_path / "installation", "sanitized", LIMITS)
    (client.bin / "fsspec_gp_plugin.sh").write_text(f"#!/bin/sh\nexit {ALONE}\n")
    (tmp_path / "home").mkdir()
    agent = FakeAgent(tmp_path / "home", client.bin)
    first = random.randrange(1 << 32)
    try:
        for seed in range(first, first + ANSWERS):
            answer_at_random(client, agent, tmp_path / "home", seed)
    finally:
        agent.close()


def answer_at_random(client: Client, agent: FakeAgent, home: Path, seed: int) -> None:
    rnd = random.Random(seed)
    said = b""
    process = subprocess.Popen(
        [client.executable, *CALL],
        env={"HOME": str(home), "ASAN_OPTIONS": "detect_leaks=0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process, agent.accept() as conversation:
        if rnd.random() < 0.9:
            conversation.request()
        for piece in random_answer(rnd):
            try:
                conversation.say(piece)
            except OSError:
                break
            said += piece
            if rnd.random() < 0.3:
                time.sleep(rnd.random() / 100)
        if rnd.random() < 0.05:
            # It waits, and gives up.
            process.wait(PATIENCE)
        conversation.vanish()
        error = process.stderr.read().decode()
        status = process.wait(PATIENCE)
    about = f"seed {seed}, the agent said {said!r}, status {status}: {error}"
    assert "ERROR" not in error, about
    assert "runtime" not in error, about
    ending = re.fullmatch(rb"T\.*E(.)", said[: said.find(b"E") + 2], re.DOTALL)
    expected = {ALONE, 1} | ({ending[1][0]} if ending else set())
    assert status in expected, about
    assert error.count("\n") == (1 if status == 1 and error else 0), about


def random_answer(rnd: random.Random) -> list[bytes]:
    """Mostly what might be one, in pieces."""
    words = [b"T", b"T", b"N", b".", b"..", b"E", b"E\0", b"E\1", b"\0", b"G", rnd.randbytes(rnd.randrange(40))]
    whole = b"T" * (rnd.random() < 0.8) + b"".join(rnd.choices(words, k=rnd.randrange(6)))
    cuts = sorted(rnd.randrange(len(whole) + 1) for _ in range(rnd.randrange(4)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
