"""The standard programs open what is encrypted here, and what they encrypt is opened here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.header import DecryptionError, parse_header
from fsspec_gp_plugin.age.key_files import load_identities, load_recipients
from fsspec_gp_plugin.age.object_name import KIND, ObjectName
from fsspec_gp_plugin.age.payload import PLAIN_CHUNK
from fsspec_gp_plugin.age.sealing import new_seal
from fsspec_gp_plugin.age.x25519 import new_identity
from fsspec_gp_plugin.errors import ConfigError
from fsspec_gp_plugin.transfer.chunks import ChunkOpener, ChunkSealer
from tests.sealing import IDENTITY, TOKEN, encrypt, opening
from tests.servers.age import call
from tests.servers.fixtures import age_program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fsspec_gp_plugin.age.opening import Opening
    from fsspec_gp_plugin.transfer.chunks import Transform

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"
SIZES = [0, 1, PLAIN_CHUNK - 1, PLAIN_CHUNK, PLAIN_CHUNK + 1, 2 * PLAIN_CHUNK, (1 << 20) + 1]
DATA = random.Random(3).randbytes(SIZES[-1])
both = pytest.mark.parametrize("name", ["age", "rage"])
sizes = pytest.mark.parametrize("size", SIZES)


def run(transform: Transform, data: bytes) -> bytes:
    """What the transform makes of the data."""

    def steps() -> Iterable[memoryview]:
        yield from transform.feed(memoryview(data))
        yield from transform.finish()

    return b"".join(map(bytes, steps()))


def open_object(data: bytes, how: Opening) -> bytes:
    return run(ChunkOpener(KEY, how), data)


def write_identity(folder: Path, text: str) -> Path:
    path = folder / "identity"
    path.write_text(f"# made for a test\n{text}\n")
    path.chmod(0o600)
    return path


@both
@sizes
def test_the_programs_open_what_is_encrypted_here(tmp_path: Path, name: str, size: int) -> None:
    """For one recipient, and for each of three."""
    program = age_program(name)
    three = [IDENTITY, new_identity(), new_identity()]
    for identities in ([IDENTITY], three):
        seal = new_seal([identity.recipient for identity in identities], ObjectName(KEY, TOKEN))
        stored = run(ChunkSealer(seal), DATA[:size])
        for identity in identities:
            path = write_identity(tmp_path, identity.text)
            assert call(program, "-d", "-i", path, data=stored) == DATA[:size]
            assert open_object(stored, opening(identity)) == DATA[:size]
        header = parse_header(stored)
        assert header
        assert [stanza for stanza in header.stanzas if stanza.kind == KIND] == [(KIND, (TOKEN,), KEY.encode())]


@both
@sizes
def test_what_the_programs_encrypt_is_opened_here_under_any_name(tmp_path: Path, name: str, size: int) -> None:
    program = age_program(name)
    three = [IDENTITY, new_identity(), new_identity()]
    recipients = tmp_path / "recipients"
    recipients.write_text("".join(f"# one\n{identity.recipient.text}\n" for identity in three))
    assert load_recipients("o", str(recipients)) == tuple(identity.recipient for identity in three)
    one = call(program, "-r", IDENTITY.recipient.text, data=DATA[:size])
    for stored, identities in ((one, [IDENTITY]), (call(program, "-R", recipients, data=DATA[:size]), three)):
        for identity in identities:
            assert open_object(stored, opening(identity, any_name=True)) == DATA[:size]
        with pytest.raises(DecryptionError, match="does not say which object it is"):
            open_object(stored, opening())
        with pytest.raises(DecryptionError, match="none of the identities in /id opens it; it was made for age1"):
            open_object(stored, opening(new_identity(), any_name=True))


@both
def test_armor_is_refused(name: str) -> None:
    stored = call(age_program(name), "-a", "-r", IDENTITY.recipient.text, data=b"plain")
    with pytest.raises(DecryptionError, match="armored"):
        parse_header(stored)
    with pytest.raises(DecryptionError, match="is not encrypted"):
        open_object(stored, opening())


def test_files_of_age_keygen_are_read(tmp_path: Path) -> None:
    keygen, path = age_program("age-keygen"), tmp_path / "made"
    call(keygen, "-o", path)
    [identity] = load_identities(str(path))
    assert call(keygen, "-y", path).decode() == f"{identity.recipient.text}\n"
    assert f"# public key: {identity.recipient.text}\n" in path.read_text()
    stored = call(age_program("age"), "-r", identity.recipient.text, data=b"plain")
    assert open_object(stored, opening(identity, any_name=True)) == b"plain"


def test_identities_of_new_kinds_are_refused(tmp_path: Path) -> None:
    """Hybrid ones, which age-keygen makes on request."""
    keygen, path = age_program("age-keygen"), tmp_path / "made"
    call(keygen, "-pq", "-o", path)
    with pytest.raises(ConfigError, match=r"line 3 of .* is not an X25519 identity"):
        load_identities(str(path))
    recipient = call(keygen, "-y", path).decode()
    with pytest.raises(ConfigError, match="not an X25519 one"):
        load_recipients("o", recipient)
    stored = call(age_program("age"), "-r", recipient.strip(), data=b"plain")
    with pytest.raises(DecryptionError, match="none of the identities"):
        open_object(stored, opening(any_name=True))


def test_age_keygen_reads_an_identity_made_here(tmp_path: Path) -> None:
    for _ in range(5):
        identity = new_identity()
        path = write_identity(tmp_path, identity.text)
        assert call(age_program("age-keygen"), "-y", path).decode() == f"{identity.recipient.text}\n"


def test_age_refuses_what_is_refused_here(tmp_path: Path) -> None:
    """A changed name spoils the header for age as well."""
    age, path = age_program("age"), write_identity(tmp_path, IDENTITY.text)
    stored = encrypt(KEY, b"plain")
    assert call(age, "-d", "-i", path, data=stored) == b"plain"
    changed = stored.replace(TOKEN.encode(), TOKEN.encode()[::-1])
    with pytest.raises(AssertionError, match="bad header MAC"):
        call(age, "-d", "-i", path, data=changed)
    with pytest.raises(DecryptionError, match="the header was changed"):
        open_object(changed, opening())
