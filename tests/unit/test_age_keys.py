"""Recipients and identities: what is accepted, and that no message has a secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsspec_gp_plugin.age import bech32
from fsspec_gp_plugin.age.header import DecryptionError, Stanza, derive_key, encode_base64
from fsspec_gp_plugin.age.key_files import MOST_KEYS, load_identities, load_recipients
from fsspec_gp_plugin.age.object_name import ObjectName
from fsspec_gp_plugin.age.opening import Opening
from fsspec_gp_plugin.age.sealing import new_seal
from fsspec_gp_plugin.age.x25519 import (
    Recipient,
    find_file_key,
    new_identity,
    parse_identity,
    parse_recipient,
)
from fsspec_gp_plugin.errors import ConfigError
from tests.sealing import IDENTITY, OTHER_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLIC = IDENTITY.recipient.text
OTHER = OTHER_IDENTITY.recipient.text
SECRET = IDENTITY.text
HYBRID = bech32.encode("age1pq", bytes(1216))
P = 2**255 - 19
# The points with which every secret key makes the same shared secret.
LOW_ORDER = [
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P - 1,
        P,
        P + 1,
    )
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], str]:
    def write(text: str | bytes, mode: int = 0o600) -> str:
        path = tmp_path / "keys"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PUBLIC.upper(), "of the form age1"),
        (PUBLIC.replace("age1", "Age1"), "of the form age1"),
        (PUBLIC[:-3] + PUBLIC[-3:].upper(), "lower and upper case"),
        (PUBLIC[:-1], "checksum"),
        (PUBLIC + "q", "checksum"),
        (bech32.encode("age", bytes(31)), "not an X25519 one"),
        (bech32.encode("age", bytes(33)), "not an X25519 one"),
        (HYBRID, "not an X25519 one"),
        (bech32.encode("age1tag", bytes(33)), "not an X25519 one"),
        (bech32.encode("age1yubikey", bytes(33)), "not an X25519 one"),
        ("ssh-ed25519", "of the form age1"),
        (f"{PUBLIC},{OTHER}", "separated by blanks, not by commas"),
        (SECRET, "replace that key"),
        (SECRET.lower(), "replace that key"),
        ("AGE-SECRET-KEY-PQ-1QQ", "replace that key"),
        ("AGE-PLUGIN-YUBIKEY-1QQ", "of the form age1"),
        ("", "of the form age1"),
        *((bech32.encode("age", point), "everybody could open") for point in LOW_ORDER),
    ],
)
def test_only_recipients_of_one_kind_are_accepted(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_recipient(text)


@pytest.mark.parametrize(
    "text",
    [
        SECRET.lower(), SECRET[:-1], PUBLIC, PUBLIC.upper(), "", "AGE-SECRET-KEY-1", "\N{KELVIN SIGN}",
        bech32.encode("age-secret-key-", bytes(31)).upper(), bech32.encode("age-secret-key-pq-", bytes(32)).upper(),
        bech32.encode("age-plugin-yubikey-", bytes(32)).upper(),
    ],
)  # fmt: skip
def test_only_identities_of_one_kind_are_accepted(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which text it has is tested below
        parse_identity(text)
    assert parse_identity(SECRET) == IDENTITY != OTHER_IDENTITY


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_nothing_is_encrypted_to_everybody(point: bytes) -> None:
    with pytest.raises(ValueError, match="everybody could open"):
        new_seal([Recipient(point, "age1…")], ObjectName("k"))
    with pytest.raises(ValueError, match="no recipient"):
        new_seal([], ObjectName("k"))


def wrap(file_key: bytes, recipient: Recipient = IDENTITY.recipient) -> Stanza:
    return recipient.wrap(file_key)


def test_a_stanza_is_for_one_recipient() -> None:
    stanza = wrap(b"k" * 16)
    assert IDENTITY.unwrap(stanza) == b"k" * 16
    assert OTHER_IDENTITY.unwrap(stanza) is None
    assert find_file_key([stanza], [OTHER_IDENTITY, IDENTITY]) == b"k" * 16
    assert wrap(b"k" * 16) != stanza


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_file_keys_of_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(DecryptionError, match="damaged"):
        IDENTITY.unwrap(wrap(bytes(size)))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_a_share_that_makes_a_known_secret_is_refused(point: bytes) -> None:
    """Even if the file key was encrypted rightly with that secret."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    key = derive_key(bytes(32), point + IDENTITY.recipient.public, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), b"k" * 16, None)
    with pytest.raises(DecryptionError, match="of no use"):
        IDENTITY.unwrap(Stanza("X25519", (encode_base64(point).decode(),), body))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Stanza("scrypt", ("AA", "10"), bytes(32)), "passphrase"),
        (Stanza("X25519", (), bytes(32)), "damaged"),
        (Stanza("X25519", ("AA", "AA"), bytes(32)), "damaged"),
        (Stanza("X25519", ("A" * 43,), bytes(31)), "damaged"),
    ],
)
def test_whether_a_header_is_refused_does_not_depend_on_the_order_of_its_stanzas(
    other: Stanza, why: str, first: bool
) -> None:
    stanzas = [other, wrap(bytes(16))] if first else [wrap(bytes(16)), other]
    with pytest.raises(DecryptionError, match=why):
        find_file_key(stanzas, [IDENTITY])
    assert find_file_key([wrap(bytes(16)), other._replace(kind="x25519")], [IDENTITY]) == bytes(16)


@pytest.mark.parametrize(
    "text",
    [
        f"{PUBLIC}\n{OTHER}\n",
        f"{PUBLIC}\r\n\r\n{OTHER}",
        f"\ufeff# the safe\n{PUBLIC}\n\n  # the bank {SECRET}\n\t{OTHER}  \n{PUBLIC}",
    ],
)
def test_files_of_recipients(write: Callable[[str], str], text: str) -> None:
    path = write(text)
    os.chmod(path, 0o644)
    assert load_recipients("o", path) == (IDENTITY.recipient, OTHER_IDENTITY.recipient)
    assert load_recipients("o", f" {PUBLIC}\n {OTHER} {PUBLIC}") == (IDENTITY.recipient, OTHER_IDENTITY.recipient)
    assert load_recipients("o", "") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one recipient"),
        ("# nothing\n", "at least one recipient"),
        (f"{PUBLIC} # mine", "of the form age1"),
        (f"{PUBLIC}\n{SECRET}", "replace that key"),
        (f"{PUBLIC}\n" * (MOST_KEYS + 1), "at most 100"),
        (b"\xff", "not text"),
        (f"{PUBLIC}\n" * 20_000, "larger than 1 MB"),
    ],
)
def test_files_of_recipients_that_are_refused(write: Callable[[str | bytes], str], text: str | bytes, why: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError, match=f"^option 'o': the file {path}.*{why}"):
        load_recipients("o", path)


def test_files_that_are_none_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path, why in (
        (pipe, "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none", "can't be read"),
        ("/dev/zero", "not a regular"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_recipients("o", str(path))
        with pytest.raises(ConfigError, match=f"option 'encryption_identity_file': .*{why}"):
            load_identities(str(path))


def test_files_of_identities(write: Callable[[str], str]) -> None:
    path = write(f"\ufeff# created: 2026-11-28\r\n# public key: {PUBLIC}\r\n{SECRET}\r\n\n{OTHER_IDENTITY.text}")
    assert load_identities(path) == (IDENTITY, OTHER_IDENTITY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has 0 identities"),
        (f"{SECRET}\n" * (MOST_KEYS + 1), "has 101 identities"),
        (f"\n{SECRET} {SECRET}", "line 2 of .* is not an X25519 identity"),
        (f"# x\n\n{SECRET.lower()}", "line 3 of .* is not an X25519 identity"),
        (PUBLIC, "line 1 of .* is not an X25519 identity: expected AGE-SECRET-KEY-…$"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "line 1 of .*: expected AGE-SECRET-KEY-…$"),
        (b"\xff\n", "line 1 of .*: expected AGE-SECRET-KEY-…$"),
        (b"age-encryption.org/v1\n-> scrypt a 18\n\xff\n", "is encrypted; decrypt it by `age -d`"),
        (f"# \v{SECRET}\f\n{SECRET[1:]}", "line 2 of .* is not an X25519 identity"),
    ],
)
def test_files_of_identities_that_are_refused(write: Callable[[str | bytes], str], text: str | bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=f"^option 'encryption_identity_file': .*{why}") as caught:
        load_identities(write(text))
    assert not quotes(str(caught.value))


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601])
def test_an_identity_that_others_may_read_is_refused(write: Callable[..., str], mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        load_identities(write(SECRET, mode))


def test_an_identity_of_another_user_is_refused(write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    path, user = write(SECRET), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(ConfigError, match="another user"):
        load_identities(path)


def quotes(text: str, size: int = 6) -> bool:
    """Whether a text has that many characters in a row of the secret part of SECRET."""
    secret = SECRET.lower().removeprefix("age-secret-key-1")
    return any(secret[at : at + size] in text.lower() for at in range(len(secret) - size + 1))


def mistype(text: str, draw: Any) -> str:
    """The text with a few of the mistakes that people make."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 20)))
        new = draw(st.sampled_from(["", "\n", " ", "1", "x", "age1 ", "#", "\r\n", "AGE-SECRET-KEY-1"]))
        text = text[:at] + new + text[end:]
    return text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_message_quotes_a_mistyped_identity(write: Callable[[str], str], data: st.DataObject) -> None:
    text = mistype(SECRET, data.draw)
    path = write(text)
    for attempt in (
        lambda: parse_recipient(text),
        lambda: parse_identity(text),
        lambda: load_recipients("o", text),
        lambda: load_recipients("o", path),
        lambda: load_identities(path),
    ):
        error = failure_of(attempt)
        assert not quotes(str(error))
        assert error is None or error.__suppress_context__ or error.__context__ is None


def failure_of(attempt: Callable[[], object]) -> Exception | None:
    try:
        attempt()
    except (ValueError, ConfigError) as error:
        return error
    return None


def test_nothing_that_is_printed_has_a_secret() -> None:
    identity = new_identity()
    opening = Opening((identity,), "token", made_for=(identity.recipient.text,))
    seal = new_seal([identity.recipient], ObjectName("k"))
    texts = [repr(identity), str(identity), f"{identity}", "%s" % identity, f"{[identity]}", repr(opening)]  # noqa: UP031
    shown = "".join([*texts, repr(seal.key), repr(vars(seal.key)), repr({identity: 1})])
    for secret in (identity.text, identity.text.lower(), identity.secret.hex(), repr(identity.secret)[2:-1]):
        assert secret not in shown
