"""The encrypted bytes behind the header: a nonce, then chunks of 64 KiB, each encrypted on its own.

A chunk is bound to its place, and the last one to being the last: what is cut off, left out or in another order fails.
"""

from __future__ import annotations

from .header import DecryptionError, derive_key

# Bytes of the nonce that stands before the first chunk.
NONCE_SIZE = 16
# Bytes of a chunk before and after it is encrypted. Only the last chunk of an object is shorter.
PLAIN_CHUNK = 64 << 10
TAG_SIZE = 16
SEALED_CHUNK = PLAIN_CHUNK + TAG_SIZE


class PayloadKey:
    """Encrypts and decrypts the chunks of one object. Several threads may use it."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        """`nonce`: what stands before the first chunk."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher = ChaCha20Poly1305(derive_key(file_key, nonce, b"payload"))

    def seal(self, number: int, plain: bytes | bytearray | memoryview, into: memoryview, *, is_last: bool) -> None:
        """Encrypt chunk `number`, counted from 0, into a buffer that has TAG_SIZE bytes more and is not the same."""
        self._cipher.encrypt_into(_nonce(number, is_last), plain, None, into)

    def open(self, number: int, sealed: bytes | memoryview, into: memoryview, *, is_last: bool) -> None:
        """Decrypt chunk `number`, counted from 0, into a buffer that has TAG_SIZE bytes fewer. Raises DecryptionError,
        and what is in the buffer then must not be used.
        """
        from cryptography.exceptions import InvalidTag

        try:
            self._cipher.decrypt_into(_nonce(number, is_last), sealed, None, into)
        except InvalidTag:
            raise DecryptionError(
                f"its encrypted bytes from {number * PLAIN_CHUNK:,} on are not what was written: they were changed, "
                "cut off, or belong elsewhere"
            ) from None


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if is_last else b"\x00")


def count_chunks(size: int) -> int:
    """How many chunks a payload of `size` bytes without its nonce has. Raises DecryptionError if there can't be one
    of that size.
    """
    whole, rest = divmod(size, SEALED_CHUNK)
    # An empty chunk stands only where there is no other.
    if (rest and (rest < TAG_SIZE or (rest == TAG_SIZE and whole))) or not size:
        raise DecryptionError("it ends where no encrypted object can end")
    return whole + bool(rest)


def plain_size(size: int) -> int:
    """The bytes of an object before it was encrypted, from those of its payload without the nonce. Raises
    DecryptionError as count_chunks() does.
    """
    return size - count_chunks(size) * TAG_SIZE
