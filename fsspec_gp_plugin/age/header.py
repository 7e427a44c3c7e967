"""The header of an encrypted object: lines of text that only the recipients' identities can use.

It has a stanza for each recipient with the wrapped file key, stanzas of other kinds, which a reader ignores that does
not know them, and a MAC over all of them by the file key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION_LINE = b"age-encryption.org/v1\n"
_ANY_VERSION = b"age-encryption.org/v"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE"
# Headers come from a bucket that others may write: these limits are far above what a backup needs.
LARGEST_HEADER = 64 << 10
MOST_STANZAS = 128

_COLUMNS = 64
_ARGUMENT = re.compile(rb"[\x21-\x7e]+")
_MAC_SIZE = 32
# More than the bytes of the line with the MAC.
_LAST_LINE = 64


class DecryptionError(StorageError):
    """The object is not encrypted as it should be, or none of the identities opens it, or it was changed."""


class Stanza(NamedTuple):
    """One stanza: its type, the other words of its first line, and its body."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


class Header(NamedTuple):
    """A header that was read: its stanzas, the bytes under the MAC, the MAC, and the size of all in bytes."""

    stanzas: tuple[Stanza, ...]
    authenticated: bytes
    mac: bytes
    size: int

    def require_mac(self, file_key: bytes) -> None:
        """Raise DecryptionError unless the header was made with that file key."""
        if not hmac.compare_digest(_mac(file_key, self.authenticated), self.mac):
            raise DecryptionError("the header was changed after it was written")


def derive_key(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes by HKDF-SHA-256."""
    return hmac.digest(hmac.digest(salt or bytes(32), secret, "sha256"), info + b"\x01", "sha256")


def format_header(stanzas: Iterable[Stanza], file_key: bytes) -> bytes:
    """The header with these stanzas. Raises ValueError for one that a header can't have."""
    lines = [VERSION_LINE]
    for stanza in stanzas:
        words = [word.encode() for word in (stanza.kind, *stanza.arguments)]
        if not all(map(_ARGUMENT.fullmatch, words)):
            raise ValueError("a word of a stanza is empty, or has a character that is not allowed")
        lines.append(b"-> " + b" ".join(words) + b"\n")
        body = encode_base64(stanza.body)
        # The last line is shorter than the others, if need be empty.
        lines += [body[start : start + _COLUMNS] + b"\n" for start in range(0, len(body) + 1, _COLUMNS)]
    lines.append(b"---")
    authenticated = b"".join(lines)
    return authenticated + b" " + encode_base64(_mac(file_key, authenticated)) + b"\n"


def _mac(file_key: bytes, authenticated: bytes) -> bytes:
    return hmac.digest(derive_key(file_key, b"", b"header"), authenticated, "sha256")


def begins_like_header(data: bytes | bytearray) -> bool:
    """Whether the first bytes of an object, at least as many as VERSION_LINE, are those of an encrypted one, also one
    of another version, which can't be opened.
    """
    return data.startswith(_ANY_VERSION)


def parse_header(data: bytes, searched: int = 0) -> Header | None:
    """The header at the beginning of `data`; None if it goes on beyond its end. Raises DecryptionError for anything
    that is no header, or too large. `searched`: how many of these bytes an earlier call had, which found no end.
    """
    if not VERSION_LINE.startswith(data[: len(VERSION_LINE)]):
        raise DecryptionError(_explain_start(data))
    # What was searched before is not searched again, as a header may arrive byte by byte.
    end = data.find(b"\n---", max(len(VERSION_LINE) - 1, searched - _LAST_LINE), LARGEST_HEADER)
    stop = -1 if end < 0 else data.find(b"\n", end + 1, LARGEST_HEADER)
    if stop < 0:
        if len(data) >= LARGEST_HEADER:
            raise DecryptionError(f"its header has more than {LARGEST_HEADER} bytes")
        return None
    lines = data[len(VERSION_LINE) : stop].split(b"\n")
    stanzas = tuple(_parse_stanzas(lines[:-1]))
    if not stanzas or not lines[-1].startswith(b"--- "):
        raise _damaged()
    mac = decode_base64(lines[-1][4:])
    if len(mac) != _MAC_SIZE:
        raise _damaged()
    return Header(stanzas, data[: end + 4], mac, stop + 1)


def _explain_start(data: bytes) -> str:
    """What is wrong with an object that does not begin with VERSION_LINE."""
    if data.startswith(_ARMOR):
        return "it is armored, as text; only the binary form can be opened here"
    if data.startswith(_ANY_VERSION) and len(data) >= len(VERSION_LINE):
        return "its header is damaged, or of another version than v1"
    return "it does not begin with the header of an encrypted object"


def _parse_stanzas(lines: list[bytes]) -> Iterable[Stanza]:
    at = count = 0
    while at < len(lines):
        if not lines[at].startswith(b"-> "):
            raise _damaged()
        count += 1
        if count > MOST_STANZAS:
            raise DecryptionError(f"its header has more than {MOST_STANZAS} stanzas")
        words = lines[at][3:].split(b" ")
        if not all(map(_ARGUMENT.fullmatch, words)):
            raise _damaged()
        kind, *arguments = (word.decode("ascii") for word in words)
        body = b""
        while True:
            at += 1
            if at == len(lines) or len(lines[at]) > _COLUMNS:
                raise _damaged()
            body += lines[at]
            if len(lines[at]) < _COLUMNS:
                break
        at += 1
        yield Stanza(kind, tuple(arguments), decode_base64(body))


def encode_base64(data: bytes) -> bytes:
    """The data in base64 without padding."""
    return base64.b64encode(data).rstrip(b"=")


def decode_base64(text: bytes) -> bytes:
    """The data of encode_base64(). Raises DecryptionError for any text that it would not have written."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise _damaged() from None
    if encode_base64(data) != text:
        raise _damaged()
    return data


def _damaged() -> DecryptionError:
    return DecryptionError("its header is damaged")
