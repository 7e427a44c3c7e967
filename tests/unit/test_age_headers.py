"""Headers from a bucket that others may write: a damaged one is an error, at little cost."""

from __future__ import annotations

import time
import tracemalloc
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fsspec_gp_plugin.age.header import (
    LARGEST_HEADER,
    MOST_STANZAS,
    VERSION_LINE,
    DecryptionError,
    Stanza,
    begins_like_header,
    encode_base64,
    format_header,
    parse_header,
)
from fsspec_gp_plugin.age.object_name import ObjectName
from fsspec_gp_plugin.age.sealing import new_seal, open_header
from fsspec_gp_plugin.age.x25519 import new_identity
from fsspec_gp_plugin.transfer.chunks import ChunkOpener
from tests.sealing import IDENTITY, OTHER_IDENTITY, TOKEN, encrypt, opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"
FILE_KEY = bytes(range(16))
NAME = ObjectName(KEY, TOKEN)
MAC = b"--- " + b"A" * 43 + b"\n"
WHOLE = encrypt(KEY, b"plain")
START = new_seal([IDENTITY.recipient, OTHER_IDENTITY.recipient], NAME).start

# What headers are made of, and what looks like it.
PIECES = st.sampled_from(
    [
        VERSION_LINE, b"-> X25519 ", b"-> a", b"->", b"\n", b"\r\n", b" ", b"---", b"--- ", MAC, b"AAAA", b"A" * 43,
        b"A" * 64, b"A" * 64 + b"\n", b"=", b"\x00", b"\xff", b"\t", b"-> scrypt AAAA 10\n\n", b"-> a b c\nAAAA\n",
    ]
)  # fmt: skip


def opens(data: bytes) -> bytes:
    """What comes out of an object that arrives at once. Raises DecryptionError."""
    opener = ChunkOpener(KEY, opening())
    return b"".join(bytes(one) for step in (opener.feed(memoryview(data)), opener.finish()) for one in step)


@given(st.one_of(st.binary(), st.lists(PIECES).map(b"".join)), st.booleans(), st.booleans())
@example(b"-> a\n\n" + MAC, True, False)
def test_any_bytes_are_a_header_an_error_or_too_few(data: bytes, begins: bool, ends: bool) -> None:
    data = VERSION_LINE * begins + data + MAC * ends
    try:
        header = parse_header(data)
    except DecryptionError:
        return
    if header is None:
        assert b"\n---" not in data or not data.endswith(b"\n")
    else:
        made = format_header(header.stanzas, FILE_KEY)
        assert made[: len(header.authenticated)] == header.authenticated
        assert data[: header.size] == header.authenticated + b" " + encode_base64(header.mac) + b"\n"


@st.composite
def mutations(draw: st.DrawFn, whole: bytes = WHOLE) -> bytes:
    """The object with a few bytes or lines changed, left out, moved or doubled."""
    data = whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(0, 80)))
        how = draw(st.sampled_from(["flip", "delete", "insert", "double", "lines", "cut"]))
        if how == "flip":
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :] if data else data
        elif how == "delete":
            data = data[:at] + data[end:]
        elif how == "insert":
            data = data[:at] + draw(st.one_of(st.binary(min_size=1, max_size=9), PIECES)) + data[at:]
        elif how == "double":
            data = data[:end] + data[at:]
        elif how == "lines":
            data = b"\n".join(draw(st.permutations(data.split(b"\n"))))
        else:
            data = data[:at]
    return data


@given(mutations())
def test_an_object_that_was_changed_anywhere_is_refused(data: bytes) -> None:
    if data == WHOLE:
        assert opens(data) == b"plain"
        return
    with pytest.raises(DecryptionError, match=KEY):
        opens(data)


def test_each_byte_counts() -> None:
    for at in range(len(WHOLE)):
        for bit in (1, 0x20, 0x80):
            with pytest.raises(DecryptionError):
                opens(WHOLE[:at] + bytes([WHOLE[at] ^ bit]) + WHOLE[at + 1 :])
        with pytest.raises(DecryptionError):
            opens(WHOLE[:at])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b"\n", b"\r\n"), "another version than v1"),
        (lambda data: data.replace(b"\n->", b"\r\n->", 2), "another version than v1"),
        (lambda data: data.replace(b"\n---", b"\r\n---"), "damaged"),
        (lambda data: data.replace(b"\n---", b" \n---"), "damaged"),
        (lambda data: data.replace(b"-> X25519", b"->  X25519", 1), "damaged"),
        (lambda data: data.replace(b"-> X25519", b"->\tX25519", 1), "damaged"),
        (lambda data: data.replace(b"-> X25519", b"-> x25519"), "none of the identities"),
        (lambda data: data.replace(b"\n---", b"\n\n---"), "damaged"),
        (lambda data: data.replace(b"/v1", b"/v2"), "another version than v1"),
        (lambda data: b"\n" + data, "not encrypted|does not begin"),
        (lambda _: VERSION_LINE + MAC, "damaged"),
        (lambda _: VERSION_LINE + b"---\n", "damaged"),
        (lambda _: VERSION_LINE + b"-> X25519\n" + MAC, "damaged"),
    ],
)
def test_forms_that_are_almost_right_are_refused(change: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(DecryptionError, match=why):
        opens(change(START))


def test_other_forms_are_called_by_their_names() -> None:
    with pytest.raises(DecryptionError, match="armored"):
        parse_header(b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCg==\n")
    assert begins_like_header(b"age-encryption.org/v2\n")
    assert not begins_like_header(b"age-encryption.org/ is a site\n")


def header_of(stanzas: list[Stanza]) -> bytes:
    return format_header(stanzas, FILE_KEY)


def test_stanzas_of_other_kinds_are_passed_over_and_counted() -> None:
    own, strange = IDENTITY.recipient.wrap(FILE_KEY), Stanza("x/y", ("1", "~"), bytes(100))
    data = header_of([*repeat(strange, MOST_STANZAS - 1), own])
    header = parse_header(data)
    assert header
    assert (header.stanzas[0], header.size) == (strange, len(data))
    assert open_header(header, [IDENTITY]) == FILE_KEY
    for count in (MOST_STANZAS + 1, 1000):
        with pytest.raises(DecryptionError, match="more than 128 stanzas"):
            parse_header(header_of([own, *repeat(strange._replace(body=b""), count - 1)]))


def test_the_largest_header() -> None:
    own = IDENTITY.recipient.wrap(FILE_KEY)
    base = len(header_of([own, Stanza("a", (), b"")]))
    for over in (0, 1):
        data = header_of([own, Stanza("a" * (LARGEST_HEADER - base + 1 + over), (), b"")])
        assert len(data) == LARGEST_HEADER + over
        if over:
            with pytest.raises(DecryptionError, match="more than 65536 bytes"):
                parse_header(data)
        else:
            assert parse_header(data)


def test_a_header_of_two_stanzas_for_one_recipient_is_opened() -> None:
    stanzas = [IDENTITY.recipient.wrap(FILE_KEY), IDENTITY.recipient.wrap(FILE_KEY)]
    header = parse_header(header_of(stanzas))
    assert header
    assert open_header(header, [new_identity(), IDENTITY]) == FILE_KEY


def test_a_header_without_recipients_is_not_opened() -> None:
    header = parse_header(header_of([NAME.to_stanza()]))
    assert header
    with pytest.raises(DecryptionError, match="none of the identities"):
        open_header(header, [IDENTITY])


@pytest.mark.parametrize(
    ("stanzas", "why"),
    [
        ([NAME.to_stanza()] * 2, "damaged"),
        ([NAME.to_stanza(), NAME._replace(key="other").to_stanza()], "damaged"),
        ([NAME.to_stanza()._replace(arguments=())], "damaged"),
        ([NAME.to_stanza()._replace(arguments=(TOKEN, TOKEN))], "damaged"),
        ([NAME._replace(key=KEY + "x").to_stanza()], "another object"),
        ([NAME._replace(key="\udcff" * 1000).to_stanza()], "another object"),
        ([NAME._replace(token="f" * 32).to_stanza()], "another backup"),
        ([], "--any-name"),
    ],
)
def test_the_name_must_stand_there_once(stanzas: list[Stanza], why: str) -> None:
    data = header_of([IDENTITY.recipient.wrap(FILE_KEY), *stanzas])
    header = parse_header(data)
    assert header
    with pytest.raises(DecryptionError, match=why) as caught:
        opening().find_file_key(KEY, header)
    assert len(str(caught.value)) < 800
    assert opening(any_name=True).find_file_key(KEY, header) == FILE_KEY


@pytest.mark.parametrize("words", [("a b",), ("a\n",), ("",), ("a", ""), ("é",), ("a", "b\n-> X25519 c")])
def test_a_stanza_that_would_change_the_header_is_not_written(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a word of a stanza"):
        header_of([Stanza(words[0], words[1:], b"")])


HOSTILE = {
    "lines": b"\n",
    "stanzas": b"-> a\n\n",
    "one line": b"-> " + b"a" * 100,
    "almost ends": b"\n--",
    "a body": b"A" * 64 + b"\n",
}


def feed_until_refused(pieces: Iterable[memoryview]) -> int:
    """How many bytes arrive until there are too many."""
    opener, fed = ChunkOpener(KEY, opening()), len(VERSION_LINE)
    assert list(opener.feed(memoryview(VERSION_LINE))) == []
    try:
        for one in pieces:
            fed += len(one)
            assert list(opener.feed(one)) == []
    except DecryptionError as error:
        assert "more than 65536 bytes" in str(error)  # noqa: PT017 - when it comes is what counts
        return fed
    return -1


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_of_a_header_without_an_end_little_is_kept(piece: bytes) -> None:
    """It would have a gigabyte."""
    block = memoryview(piece * ((1 << 20) // len(piece)))
    tracemalloc.start()
    assert feed_until_refused(repeat(block, 1000)) == len(VERSION_LINE) + len(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_comes_byte_by_byte_costs_little(piece: bytes) -> None:
    block = memoryview(piece * (LARGEST_HEADER // len(piece) + 1))
    begun = time.process_time()
    assert feed_until_refused(block[at : at + 1] for at in range(len(block))) == LARGEST_HEADER
    assert time.process_time() - begun < 2


@given(st.lists(st.integers(1, 40), max_size=60))
def test_pieces_of_a_header_give_what_the_whole_gives(sizes: list[int]) -> None:
    data, at = START + b"\n--- more", 0
    for size in sizes:
        found = parse_header(data[: at + size], at)
        assert found == parse_header(data[: at + size])
        if found:
            return
        at += size
