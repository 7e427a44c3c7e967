"""`keygen` beside the real age-keygen, and what it refuses."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import Terminal
from tests.protocol.agents import EXECUTABLE
from tests.sealing import IDENTITY
from tests.servers import age
from tests.servers.fixtures import age_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.caller import Plugin, Result

    Keygen = Callable[..., Result]

FORM = re.compile(
    r"# created: 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)\n"
    r"# public key: (age1[0-9a-z]{58})\n(AGE-SECRET-KEY-1[0-9A-Z]{58})\n"
)


@pytest.fixture
def keygen(local: Plugin) -> Keygen:
    """The command, called by a shell in the user's home."""

    def call(words: str = "", stdin: bytes = b"") -> Result:
        return local.shell(f"{EXECUTABLE} keygen {words}", stdin)

    return call


def test_it_writes_what_age_keygen_writes_and_both_read_it(keygen: Keygen, local: Plugin) -> None:
    program = age_program("age-keygen")
    made = keygen()
    match = FORM.fullmatch(made.out.decode())
    assert match, made.out
    assert FORM.fullmatch(age.call(program).decode())
    assert (made.status, made.err) == (0, f"Public key: {match[1]}\n")
    assert age.call(program, "-y", data=made.out) == f"{match[1]}\n".encode()
    theirs = age.call(program)
    several = b"".join([made.out, b"\n# another\n", theirs])
    expected = age.call(program, "-y", data=several)
    assert keygen("-y", several).succeeded().out == expected
    file = local.database.folder / "home/both.txt"
    file.write_bytes(several)  # open to others: only recipients are shown
    assert keygen("--recipients both.txt").succeeded().out == expected


def test_a_file_is_private_and_never_replaced(keygen: Keygen, local: Plugin) -> None:
    file = local.database.folder / "home/identity.txt"
    made = keygen("-o identity.txt")
    text = file.read_text()
    match = FORM.fullmatch(text)
    assert match
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (made.status, made.out) == (0, b"")
    first, *more = made.err.splitlines()
    assert first == f"Public key: {match[1]}"
    assert "`encryption_recipients`" in more[0]
    assert more[1].startswith("Keep identity.txt off the cluster")
    assert max(map(len, made.err.splitlines())) <= 80
    assert match[2] not in made.err
    keygen("--output identity.txt").failed("identity.txt exists, and is not replaced; choose another name", status=1)
    keygen("-o no/identity.txt").failed("can't write no/identity.txt: No such file or directory", status=1)
    assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir() if "part" in path.name] == []


def test_a_dash_is_standard_output(keygen: Keygen, local: Plugin) -> None:
    assert FORM.fullmatch(keygen("-o -").out.decode())
    assert not (local.database.folder / "home/-").exists()


def test_the_time_has_the_offset_of_this_host(keygen: Keygen, local: Plugin) -> None:
    local.database.extra["TZ"] = "Asia/Kolkata"
    assert b"+05:30\n# public" in keygen().out


def test_a_file_that_others_can_read_is_warned_of(keygen: Keygen) -> None:
    assert "Warning: the identity was written to a file" in keygen("> open.txt").err
    assert "Warning" not in keygen("| cat").err


@pytest.mark.parametrize(
    ("words", "stdin", "told", "status"),
    [
        ("identity.txt", b"", "`keygen -y identity.txt` reads one", 2),
        ("-y", b"", "standard input has 0 identities", 2),
        ("-y", b"# only a comment\n\nAGE-SECRET-KEY-1QQQ\n", "line 3 of standard input is not an X25519 identity", 2),
        ("-y", b"\xff\xfe\n", "line 1 of standard input is not an X25519 identity", 2),
        ("-y", b"age-encryption.org/v1\n-> scrypt a 18\n", "is encrypted; decrypt it by `age -d`", 2),
        ("-y none.txt", b"", "can't read none.txt: No such file", 1),
        ("-y .", b"", "can't read .: Is a directory", 1),
        ("-y /dev/zero", b"", "is larger than 1 MB", 1),
        ("--wrong", b"", "unrecognized arguments: --wrong", 2),
        ("> /dev/full", b"", "can't write the output: No space left on device", 1),
        (">&-", b"", "can't write the output: Bad file descriptor", 1),
    ],
)
def test_what_is_wrong_is_one_line(keygen: Keygen, words: str, stdin: bytes, told: str, status: int) -> None:
    assert "AGE-SECRET-KEY-1" not in keygen(words, stdin).failed(told, status=status).err


def test_a_secret_is_not_quoted(keygen: Keygen) -> None:
    damaged = IDENTITY.text[:-1] + "Q"
    assert damaged[17:40] not in keygen("-y", damaged.encode()).failed("its checksum is wrong").err


def test_closed_streams_make_no_traceback(keygen: Keygen, local: Plugin) -> None:
    made = keygen("-o one.txt 0<&- >&- 2>&-")
    assert (made.status, made.out, made.err) == (0, b"", "")
    assert FORM.fullmatch((local.database.folder / "home/one.txt").read_text())
    made = keygen("2>&- >&-")
    assert (made.status, made.err) == (1, "")
    keygen("-y <&-").failed("standard input")


def test_a_terminal_shows_the_keys_once(local: Plugin) -> None:
    terminal = Terminal([str(EXECUTABLE), "keygen"], local.database.environment())
    assert terminal.end() == 0
    assert FORM.fullmatch(terminal.screen.replace("\r\n", "\n"))
