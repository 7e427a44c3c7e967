"""Recipients, to which everybody can encrypt, and the identities that open what was encrypted to them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from . import bech32
from .header import DecryptionError, Stanza, decode_base64, derive_key, encode_base64

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

FILE_KEY_SIZE = 16
RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "age-secret-key-"

_KIND = "X25519"
_INFO = b"age-encryption.org/v1/X25519"
_KEY_SIZE = 32
_TAG_SIZE = 16
# A key wraps one file key only.
_NONCE = bytes(12)


class Recipient(NamedTuple):
    """A public key, and the text `age1…` in which people write it."""

    public: bytes
    text: str

    def wrap(self, file_key: bytes) -> Stanza:
        """The stanza that gives the file key to this recipient. Raises ValueError for a key that is of no use."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        # Not by the library's random numbers: this process may be a fork of another one.
        ephemeral = X25519PrivateKey.from_private_bytes(os.urandom(_KEY_SIZE))
        share = ephemeral.public_key().public_bytes_raw()
        key = derive_key(ephemeral.exchange(_load_public(self.public)), share + self.public, _INFO)
        return Stanza(_KIND, (encode_base64(share).decode(),), _cipher(key).encrypt(_NONCE, file_key, None))


class Identity:
    """A secret key. Its text must not reach a log or a message: no way to print an identity shows it."""

    __slots__ = ("secret",)

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes."""
        self.secret = secret

    def __repr__(self) -> str:
        return "Identity(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.secret == other.secret

    def __hash__(self) -> int:
        return hash(self.secret)

    @property
    def recipient(self) -> Recipient:
        """The recipient to which it belongs."""
        public = _load_secret(self.secret)[1]
        return Recipient(public, bech32.encode(RECIPIENT_PREFIX, public))

    @property
    def text(self) -> str:
        """The text `AGE-SECRET-KEY-1…` in which identity files have it."""
        return bech32.encode(IDENTITY_PREFIX, self.secret).upper()

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key in a stanza; None if the stanza is for another recipient or of another kind. Raises
        DecryptionError if it is damaged.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        if stanza.kind != _KIND:
            return None
        share = _read_share(stanza)
        secret, public = _load_secret(self.secret)
        try:
            shared = secret.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:
            raise DecryptionError("its header has a key that is of no use") from None
        key = derive_key(shared, share + public, _INFO)
        try:
            return _cipher(key).decrypt(_NONCE, stanza.body, None)
        except InvalidTag:
            return None


def _read_share(stanza: Stanza) -> bytes:
    """The sender's public key in a stanza of this kind. Raises DecryptionError for a stanza that is damaged."""
    share = decode_base64(stanza.arguments[0].encode()) if len(stanza.arguments) == 1 else b""
    if len(share) != _KEY_SIZE or len(stanza.body) != FILE_KEY_SIZE + _TAG_SIZE:
        raise DecryptionError("its header is damaged")
    return share


@lru_cache(maxsize=128)
def _load_secret(secret: bytes) -> tuple[X25519PrivateKey, bytes]:
    """A secret key and its public one, which take half of the time that it takes to open a header."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    loaded = X25519PrivateKey.from_private_bytes(secret)
    return loaded, loaded.public_key().public_bytes_raw()


@lru_cache(maxsize=128)
def _load_public(public: bytes) -> X25519PublicKey:
    """A public key. Raises ValueError for one of those few with which all secret keys make the same shared secret."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    loaded = X25519PublicKey.from_public_bytes(public)
    try:
        _load_secret(bytes(_KEY_SIZE))[0].exchange(loaded)
    except ValueError:
        raise ValueError("everybody could open what is encrypted to it") from None
    return loaded


def _cipher(key: bytes) -> ChaCha20Poly1305:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def new_identity() -> Identity:
    """A new identity."""
    return Identity(os.urandom(_KEY_SIZE))


def parse_recipient(text: str) -> Recipient:
    """The recipient in a text `age1…`. Raises ValueError, which says what is wrong and never quotes a secret."""
    if text.lower().startswith(IDENTITY_PREFIX):
        raise ValueError("an identity (AGE-SECRET-KEY-…) stands where a recipient belongs; replace that key, as it "
                         "may be known to others now, and give its recipient, `age1…`")  # fmt: skip
    # Text of another form is not quoted, as it may be a part of an identity, or another secret under the wrong option.
    if not text.startswith(f"{RECIPIENT_PREFIX}1"):
        raise ValueError("expected recipients of the form age1…")
    if "," in text:
        raise ValueError("recipients are separated by blanks, not by commas")
    try:
        prefix, public = bech32.decode(text)
        if prefix == RECIPIENT_PREFIX and len(public) == _KEY_SIZE:
            _load_public(public)
    except ValueError as error:
        raise ValueError(f"the recipient {text[:16]}… is not valid: {error}") from None
    if prefix != RECIPIENT_PREFIX or len(public) != _KEY_SIZE:
        raise ValueError(f"the recipient {text[:16]}… is not an X25519 one, the only kind that can be used here")
    return Recipient(public, text)


def parse_identity(text: str) -> Identity:
    """The identity in a text `AGE-SECRET-KEY-1…`. Raises ValueError, which does not quote it."""
    if not text.lower().startswith(IDENTITY_PREFIX):
        raise ValueError("expected AGE-SECRET-KEY-…")
    prefix, secret = bech32.decode(text)
    if prefix != IDENTITY_PREFIX or len(secret) != _KEY_SIZE or text != text.upper():
        raise ValueError("expected AGE-SECRET-KEY-…")
    return Identity(secret)


def find_file_key(stanzas: Iterable[Stanza], identities: Iterable[Identity]) -> bytes | None:
    """The file key that one of the identities finds in one of the stanzas; None if none does. Raises
    DecryptionError.
    """
    wrapped = []
    # All of them before one is used: whether a header is refused does not depend on their order.
    for stanza in stanzas:
        if stanza.kind == "scrypt":
            raise DecryptionError("it was encrypted with a passphrase, which is not supported")
        if stanza.kind == _KIND:
            _read_share(stanza)
            wrapped.append(stanza)
    wanted = tuple(identities)
    for stanza in wrapped:
        for identity in wanted:
            if (found := identity.unwrap(stanza)) is not None:
                return found
    return None
