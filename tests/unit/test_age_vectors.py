"""The test vectors of the format, c2sp.org/CCTV/age: each ends as its file says, whatever pieces it arrives in."""

from __future__ import annotations

import hashlib
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from fsspec_gp_plugin.age.header import DecryptionError, begins_like_header, format_header, parse_header
from fsspec_gp_plugin.age.opening import Opening
from fsspec_gp_plugin.age.payload import NONCE_SIZE, PLAIN_CHUNK, SEALED_CHUNK, TAG_SIZE, PayloadKey
from fsspec_gp_plugin.age.sealing import Seal
from fsspec_gp_plugin.age.x25519 import find_file_key, new_identity, parse_identity
from fsspec_gp_plugin.transfer.chunks import ChunkOpener, ChunkSealer
from tests.servers.age import vectors
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    from fsspec_gp_plugin.age.header import Header
    from fsspec_gp_plugin.age.x25519 import Identity

FILES = vectors()
COUNT = 143
# What is wrong in these is in a stanza of a kind that is ignored here.
IGNORED = {
    "hybrid_extra_argument", "hybrid_identity", "hybrid_long_file_key", "hybrid_long_share", "hybrid_low_order",
    "hybrid_not_canonical_enc", "hybrid_short_share",
}  # fmt: skip


class Vector(NamedTuple):
    """A file of the collection: its name, the fields of its head, and the encrypted object."""

    name: str
    fields: dict[str, list[str]]
    data: bytes

    @property
    def expected(self) -> str:
        """How it must end here: X25519 alone is supported, and no armor."""
        [documented] = self.fields["expect"]
        if "armored" in self.fields or b"\n-> scrypt" in self.data:
            return "header failure"
        if self.name in IGNORED or (self.name.startswith("hybrid") and documented == "success"):
            return "no match"
        return documented

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Those of the kind that is supported, or a strange one."""
        texts = [text for text in self.fields.get("identity", ()) if not _is_of_another_kind(text)]
        return tuple(map(parse_identity, texts)) or (new_identity(),)


def _is_of_another_kind(identity: str) -> bool:
    """Whether it is one of a hybrid key, which parse_identity() must refuse without a quotation."""
    if "-PQ-" not in identity:
        return False
    with pytest.raises(ValueError, match=r"^expected AGE-SECRET-KEY-…$"):
        parse_identity(identity)
    return True


def read(path: Path) -> Vector:
    head, _, data = path.read_bytes().partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.decode().split("\n"):
        name, _, value = line.partition(": ")
        fields.setdefault(name, []).append(value)
    if "compressed" in fields:
        data = zlib.decompress(data)
    return Vector(path.name, fields, data)


@pytest.fixture(params=FILES or [Path("none")], ids=lambda path: path.name)
def vector(request: pytest.FixtureRequest) -> Vector:
    if not FILES:
        skip_unless_required("age", "the test vectors are not installed; tests/servers/install_age fetches them")
    return read(request.param)


def open_header(vector: Vector) -> tuple[str, Header | None]:
    """How the header ends: "" if it is opened."""
    header = None
    try:
        header = parse_header(vector.data)
        file_key = header and find_file_key(header.stanzas, vector.identities)
    except DecryptionError:
        return "header failure", header
    if header is None:
        return "header failure", None
    if file_key is None:
        return "no match", header
    assert file_key.hex() == vector.fields["file key"][0]
    try:
        header.require_mac(file_key)
    except DecryptionError:
        return "HMAC failure", header
    if len(vector.data) < header.size + NONCE_SIZE:
        return "header failure", header
    return "", header


def open_object(vector: Vector, size: int) -> tuple[bytes, str]:
    """What comes out of an object that arrives in pieces of a size, and the error, "" for none."""
    opener = ChunkOpener("k", Opening(vector.identities, any_name=True))
    found = bytearray()
    try:
        for start in range(0, len(vector.data), size):
            for plain in opener.feed(memoryview(vector.data)[start : start + size]):
                found += plain
        for plain in opener.finish():
            found += plain
    except DecryptionError as error:
        return bytes(found), str(error)
    return bytes(found), ""


def read_as_age_does(vector: Vector) -> bytes:
    """What age gives out: each chunk that is genuine as one in the middle or as the last one, up to the last."""
    header = parse_header(vector.data)
    assert header
    file_key = find_file_key(header.stanzas, vector.identities)
    assert file_key
    payload = vector.data[header.size :]
    key = PayloadKey(file_key, payload[:NONCE_SIZE])
    found = b""
    for number, start in enumerate(range(NONCE_SIZE, len(payload), SEALED_CHUNK)):
        sealed = payload[start : start + SEALED_CHUNK]
        if len(sealed) < TAG_SIZE or (number and len(sealed) == TAG_SIZE):
            break
        plain = memoryview(bytearray(len(sealed) - TAG_SIZE))
        if len(sealed) == SEALED_CHUNK:
            with suppress(DecryptionError):
                key.open(number, sealed, plain, is_last=False)
                found += plain
                continue
        with suppress(DecryptionError):
            key.open(number, sealed, plain, is_last=True)
            found += plain
        break
    return found


def test_a_vector_ends_as_its_file_says(vector: Vector) -> None:
    ending, header = open_header(vector)
    if ending:
        assert ending == vector.expected
    else:
        assert vector.expected in ("success", "payload failure")
    if header:
        # What was read is what would have been written, byte by byte.
        made = format_header(header.stanzas, bytes(16))
        assert made.startswith(header.authenticated)
        assert len(made) == header.size


def test_only_what_the_file_says_comes_out_whatever_pieces_arrive(vector: Vector) -> None:
    found, error = open_object(vector, 1 << 30)
    for size in [1, 61, 65536] if len(vector.data) < 100_000 else [70_001]:
        assert open_object(vector, size) == (found, error)
    if not begins_like_header(vector.data):
        # Without a claim of its backup it is a plain object.
        assert (found, error) == (vector.data, "")
        return
    assert bool(error) == (vector.expected != "success"), error
    if vector.expected not in ("success", "payload failure"):
        assert found == b""
        return
    documented = read_as_age_does(vector)
    assert hashlib.sha256(documented).hexdigest() == vector.fields["payload"][0]
    # age gives out a chunk before it looks whether the object ends where the chunk says; here this is known before.
    missing = len(documented) - len(found)
    assert missing == 0 or (error and 0 < missing <= PLAIN_CHUNK)
    assert documented.startswith(found)


def test_what_was_opened_is_encrypted_to_the_same_bytes(vector: Vector) -> None:
    if vector.expected != "success":
        return
    header = parse_header(vector.data)
    assert header
    file_key = bytes.fromhex(vector.fields["file key"][0])
    start = format_header(header.stanzas, file_key) + vector.data[header.size : header.size + NONCE_SIZE]
    sealer = ChunkSealer(Seal(start, PayloadKey(file_key, start[-NONCE_SIZE:])))
    plain, _ = open_object(vector, 1 << 20)
    assert (
        b"".join(bytes(one) for step in (sealer.feed(memoryview(plain)), sealer.finish()) for one in step)
        == vector.data
    )


def test_the_collection_is_whole() -> None:
    if not FILES:
        skip_unless_required("age", "the test vectors are not installed; tests/servers/install_age fetches them")
    endings = [read(path).expected for path in FILES]
    counts = {ending: endings.count(ending) for ending in sorted(set(endings))}
    assert len(FILES) == COUNT
    assert counts == {
        "HMAC failure": 1,
        "header failure": 90,
        "no match": 20,
        "payload failure": 18,
        "success": 14,
    }
