"""The commands for people where nobody can take what they print: one line, and no traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.agents import EXECUTABLE

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin


@pytest.mark.parametrize("words", ["completion bash", "verify --help", "list CONFIG", "list CONFIG --json"])
def test_an_output_that_is_full_or_closed(local: Plugin, words: str) -> None:
    line = f"{EXECUTABLE} {words.replace('CONFIG', str(local.config))}"
    local.shell(f"{line} > /dev/full").failed("can't write the output: No space left on device", status=1)
    local.shell(f"{line} >&-").failed("can't write the output: Bad file descriptor", status=1)


def test_a_reader_that_has_enough(local: Plugin) -> None:
    done = local.shell(f"{EXECUTABLE} completion bash | true; echo ${{PIPESTATUS[0]}}")
    assert (done.out, done.err) == (b"0\n", "")


def test_messages_that_nobody_can_read(local: Plugin) -> None:
    for where in ("2>&-", "2> /dev/full"):
        done = local.shell(f"{EXECUTABLE} list none.yaml {where}")
        assert (done.status, done.out, done.err) == (2, b"", "")
