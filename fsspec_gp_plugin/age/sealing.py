"""Begins the encryption of an object, and opens the header of an encrypted one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .header import DecryptionError, format_header
from .payload import NONCE_SIZE, PayloadKey
from .x25519 import FILE_KEY_SIZE, find_file_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .header import Header
    from .object_name import ObjectName
    from .x25519 import Identity, Recipient


class Seal(NamedTuple):
    """What one object is encrypted with. `start`: its first bytes, the header and the payload's nonce."""

    start: bytes
    key: PayloadKey


def new_seal(recipients: Sequence[Recipient], name: ObjectName) -> Seal:
    """A fresh key for an object of that name. Raises ValueError for a recipient that is of no use, or if there is
    none.
    """
    if not recipients:
        raise ValueError("there is no recipient")
    file_key, nonce = os.urandom(FILE_KEY_SIZE), os.urandom(NONCE_SIZE)
    stanzas = [*(recipient.wrap(file_key) for recipient in recipients), name.to_stanza()]
    return Seal(format_header(stanzas, file_key) + nonce, PayloadKey(file_key, nonce))


def open_header(header: Header, identities: Sequence[Identity]) -> bytes:
    """The file key of an object; DecryptionError if none of the identities opens it, or its header was changed."""
    file_key = find_file_key(header.stanzas, identities)
    if file_key is None:
        raise NoIdentityError("none of the identities opens it")
    header.require_mac(file_key)
    return file_key


class NoIdentityError(DecryptionError):
    """None of the identities opens the object."""
