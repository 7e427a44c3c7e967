"""`decrypt`: objects of an encrypted backup, of plain ones, and others that were put in their place."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.integrity.claim import NAME as CLAIM_NAME
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.arranged import asked
from tests.cli.terminal import Terminal
from tests.cli.whole import CLAIM, put_whole, table
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config
from tests.sealing import IDENTITY, OTHER_IDENTITY, encrypt
from tests.servers import age
from tests.servers.fixtures import age_program

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.age.x25519 import Identity
    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

T = "20260102030405"
PREFIX = backup_prefix(T)
NAME = table(T)
KEY = PREFIX + NAME
ROWS = b"16384 rows"


def write_identity(folder: Path, identity: Identity = IDENTITY, name: str = "identity.txt") -> Path:
    """A file with an identity, as it must be."""
    file = folder / name
    file.write_text(f"# of a test\n{identity.text}\n")
    file.chmod(0o600)
    return file


def replace(store: Store, key: str, data: bytes) -> None:
    store.put(key, memoryview(data))


@pytest.fixture
def identity(local: Plugin) -> Path:
    return write_identity(local.database.folder)


@pytest.fixture
def opener(local: Plugin, identity: Path, tmp_path: Path) -> Plugin:
    """A plugin whose configuration names the identity."""
    write_config(local.config, f"file://{tmp_path}/disk", encryption_identity_file=identity)
    return local


def test_an_object_by_its_key_its_name_and_its_path(plugin: Plugin, target: Target) -> None:
    file = write_identity(plugin.database.folder)
    rows = os.urandom(300_000)
    with target.store() as store:
        put_whole(store, T, identity=IDENTITY)
        replace(store, KEY, encrypt(KEY, rows, CLAIM))
    write_config(plugin.config, target.url, target.options, encryption_identity_file=file)
    for name in (KEY, NAME, f"/data/gpseg0/{KEY}"):
        assert plugin.run("decrypt", name).succeeded().out == rows
    # The identity of the call counts, not that of the configuration.
    other = write_identity(plugin.database.folder, OTHER_IDENTITY, "other.txt")
    plugin.run("decrypt", NAME, "--identity", str(other)).failed("none of the identities in", "other.txt", status=1)
    write_config(plugin.config, target.url, target.options)
    plugin.run("decrypt", NAME).failed("is encrypted, and there is no identity", "--identity FILE", status=1)
    assert plugin.run("decrypt", NAME, "--identity", str(file)).succeeded().out == rows


def test_a_file_is_written_whole_or_not_at_all(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=IDENTITY)
    home = opener.database.folder / "home"
    opener.run("decrypt", NAME, "-o", "rows.gz").succeeded()
    assert (home / "rows.gz").read_bytes() == ROWS
    assert stat.S_IMODE((home / "rows.gz").stat().st_mode) == 0o600
    opener.run("decrypt", NAME, "--output", "rows.gz").failed("rows.gz exists, and is not replaced", status=1)
    data = bytearray(encrypt(KEY, os.urandom(200_000), CLAIM))
    data[-1000] ^= 1
    replace(store, KEY, bytes(data))
    opener.run("decrypt", NAME, "-o", "damaged.gz").failed("its encrypted bytes from 196,608 on", status=1)
    replace(store, KEY, encrypt(KEY, ROWS, CLAIM)[:-1])
    opener.run("decrypt", NAME, "-o", "damaged.gz").failed(KEY, status=1)
    assert sorted(path.name for path in home.iterdir() if path.is_file()) == ["rows.gz"]


def test_another_object_is_opened_only_by_any_name(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=IDENTITY)
    replace(store, KEY, encrypt(PREFIX + table(T, 1), b"of another", CLAIM))
    opener.run("decrypt", NAME).failed(f"'{PREFIX}{table(T, 1)}': another object was put in its place", status=1)
    done = opener.run("decrypt", NAME, "--any-name")
    assert (done.status, done.out) == (0, b"of another")
    assert done.err == (
        f"{KEY}: its header says that it is '{PREFIX}{table(T, 1)}': another object was put in its place; "
        "opened nevertheless, by --any-name\n"
    )
    replace(store, KEY, encrypt(KEY, b"of another run", "f" * 32))
    opener.run("decrypt", NAME).failed("belongs to another backup of the same timestamp", status=1)
    replace(store, KEY, encrypt(KEY, ROWS, CLAIM))
    assert opener.run("decrypt", NAME, "--any-name").succeeded().out == ROWS


def test_what_age_has_made_is_opened_only_by_any_name(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=IDENTITY)
    replace(store, KEY, age.call(age_program("age"), "-r", IDENTITY.recipient.text, data=b"of age"))
    opener.run("decrypt", NAME).failed("does not say which object it is", "`decrypt --any-name`", status=1)
    done = opener.run("decrypt", NAME, "--any-name")
    assert (done.status, done.out) == (0, b"of age")
    assert "does not say which object it is" in done.err


def test_plain_objects(opener: Plugin, store: Store) -> None:
    put_whole(store, T)
    done = opener.run("decrypt", NAME)
    assert (done.status, done.out) == (0, ROWS)
    assert done.err == f"{KEY} is not encrypted; it is written as it is\n"
    # Somebody may have encrypted an object of a plain backup.
    replace(store, KEY, encrypt(KEY, b"encrypted", CLAIM))
    assert opener.run("decrypt", NAME).succeeded().out == b"encrypted"
    put_whole(store, T, identity=IDENTITY)
    replace(store, KEY, b"plain")
    opener.run("decrypt", NAME).failed("is not encrypted, although its backup is", "--any-name", status=1)
    done = opener.run("decrypt", NAME, "--any-name")
    assert (done.status, done.out) == (0, b"plain")
    assert "although its backup is" in done.err


def test_a_backup_without_a_claim(opener: Plugin, store: Store) -> None:
    replace(store, KEY, encrypt(KEY, ROWS, ""))
    assert opener.run("decrypt", NAME).succeeded().out == ROWS
    opener.run("decrypt", f"{PREFIX}none").failed("none", status=1)


def test_a_replica(opener: Plugin, store: Store, identity: Path, tmp_path: Path) -> None:
    put_whole(store, T, identity=IDENTITY)
    write_config(
        opener.config,
        f"file://{tmp_path}/primary",
        encryption_identity_file=identity,
        replica_url=f"file://{tmp_path}/disk",
    )
    opener.run("decrypt", NAME).failed(status=1)
    assert opener.run("decrypt", NAME, "--replica").succeeded().out == ROWS


def test_what_a_backup_has_stored(plugin: Plugin, target: Target) -> None:
    """By the commands that gpbackup calls, with recipients in the configuration."""
    file = write_identity(plugin.database.folder)
    options = {"encryption_recipients": IDENTITY.recipient.text, "encryption_identity_file": file}
    write_config(plugin.config, target.url, target.options, **options)
    plugin.setup("setup_plugin_for_backup")
    rows = os.urandom(100_000)
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=rows).succeeded()
    plugin.setup("cleanup_plugin_for_backup")
    assert plugin.run("decrypt", path.rpartition("/")[2]).succeeded().out == rows
    [one] = asked(plugin, "verify", "--decrypt", status=4)["backups"]
    assert (one["verified"], one["problems"], one["decrypted"]) == (1, [], True)
    claim = plugin.run("decrypt", f"{PREFIX}{CLAIM_NAME}")
    assert b'"recipients"' in claim.out
    assert "is not encrypted; it is written as it is" in claim.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "KEY"),
        (["identity.txt"], "has no timestamp in it: give backups/"),
        (["backups/../x"], "is not the path of a backup file"),
        ([NAME, "--identity", "none.txt"], "option --identity: none.txt can't be read: No such file"),
        ([NAME, "--identity", "open.txt"], "option --identity: open.txt is open to other users"),
        ([NAME, "--identity", "wrong.txt"], "option --identity: line 1 of wrong.txt is not an X25519 identity"),
        ([NAME, "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_a_wrong_call_is_one_line(opener: Plugin, words: list[str], told: str) -> None:
    home = opener.database.folder / "home"
    write_identity(home, name="open.txt").chmod(0o644)
    (home / "wrong.txt").write_text("nonsense\n")
    (home / "wrong.txt").chmod(0o600)
    opener.run("decrypt", *words).failed(told, status=2)


def test_an_output_that_fails(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=IDENTITY)
    line = opener.command("decrypt", NAME)
    opener.shell(f"{line} > /dev/full").failed("can't write the output", "No space left", status=1)
    opener.shell(f"{line} >&-").failed("can't write the output", status=1)
    replace(store, KEY, encrypt(KEY, os.urandom(5_000_000), CLAIM))
    done = opener.shell(f"{line} | head -c 3 | wc -c; exit ${{PIPESTATUS[0]}}")
    assert (done.status, done.out, done.err) == (0, b"3\n", "")


def test_a_signal_leaves_nothing_behind(opener: Plugin, store: Store, identity: Path, tmp_path: Path) -> None:
    put_whole(store, T, identity=IDENTITY)
    replace(store, KEY, encrypt(KEY, os.urandom(5_000_000), CLAIM))
    write_config(opener.config, f"file://{tmp_path}/disk", encryption_identity_file=identity, max_bandwidth="500KB")
    home = opener.database.folder / "home"
    process = opener.start("decrypt", NAME, "-o", "rows.gz")
    deadline = time.monotonic() + 20
    while not list(home.glob("rows.gz.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.terminate()
    assert (process.wait(20), process.communicate()[1]) == (130, b"\n")
    assert list(home.glob("rows*")) == []


def test_a_terminal_gets_text_only(opener: Plugin, store: Store) -> None:
    put_whole(store, T, identity=IDENTITY)
    text = "ä line\n" * 30_000

    def show(*words: str) -> tuple[int, str]:
        terminal = Terminal([str(EXECUTABLE), "decrypt", str(opener.config), *words], opener.database.environment())
        return terminal.end(), terminal.screen

    replace(store, KEY, encrypt(KEY, text.encode(), CLAIM))
    assert show(NAME) == (0, text.replace("\n", "\r\n"))
    for data in (b"\x1f\x8b\x08", b"text\x1b[2J", text.encode() + b"\xff", b"\x1f" + os.urandom(500_000)):
        replace(store, KEY, encrypt(KEY, data, CLAIM))
        status, screen = show(NAME)
        assert status == 2
        assert screen.endswith(
            "the object is not text, so it is not written to the terminal; use -o FILE or a pipe\r\n"
        )
        assert "\x1b" not in screen
    replace(store, KEY, encrypt(KEY, b"\x1b[1m", CLAIM))
    assert show(NAME, "-o", "-") == (0, "\x1b[1m")
