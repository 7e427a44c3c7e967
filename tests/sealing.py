"""Encrypts and opens objects for tests, by the package's own keys."""

from __future__ import annotations

from fsspec_gp_plugin.age.object_name import ObjectName
from fsspec_gp_plugin.age.opening import Opening
from fsspec_gp_plugin.age.payload import PLAIN_CHUNK, TAG_SIZE
from fsspec_gp_plugin.age.sealing import Seal, new_seal
from fsspec_gp_plugin.age.x25519 import Identity

IDENTITY = Identity(bytes(range(32)))
OTHER_IDENTITY = Identity(bytes(range(1, 33)))
TOKEN = "0123456789abcdef" * 2


def new_test_seal(key: str, token: str = TOKEN, identity: Identity = IDENTITY) -> Seal:
    """A fresh seal of an object for one recipient."""
    return new_seal([identity.recipient], ObjectName(key, token))


def encrypt(key: str, plain: bytes, token: str = TOKEN, identity: Identity = IDENTITY) -> bytes:
    """A whole encrypted object."""
    seal = new_test_seal(key, token, identity)
    sealed = bytearray(seal.start)
    starts = range(0, max(len(plain), 1), PLAIN_CHUNK)
    for number, start in enumerate(starts):
        piece = plain[start : start + PLAIN_CHUNK]
        chunk = bytearray(len(piece) + TAG_SIZE)
        seal.key.seal(number, piece, memoryview(chunk), is_last=number == len(starts) - 1)
        sealed += chunk
    return bytes(sealed)


def opening(*identities: Identity, is_encrypted: bool | None = True, any_name: bool = False) -> Opening:
    """How the objects are opened: by default with IDENTITY."""
    return Opening(identities or (IDENTITY,), TOKEN, is_encrypted, any_name, (IDENTITY.recipient.text,), "/id")
