"""Writes a stream of a given length that no store can shrink, and leaves its SHA-256 in a file.

    python -I -S generator.py BYTES DIGEST_FILE [RANDOM]

16 MiB of random bytes again and again, each MiB with its number at the front: as fast as a hash, in little memory.
With RANDOM only so many bytes of each MiB are random, the others zero, so that a store that compresses needs less disk.
"""

import hashlib
import os
import sys

PIECE = 1 << 20


def main() -> None:
    """Write the stream to standard output."""
    size, digest_file = int(sys.argv[1]), sys.argv[2]
    random = int(sys.argv[3]) if sys.argv[3:] else PIECE
    block = [bytearray(os.urandom(random).ljust(PIECE, b"\0")) for _ in range(16)]
    digest = hashlib.sha256()
    for number in range(-(-size // PIECE)):
        piece = block[number % len(block)]
        piece[:8] = number.to_bytes(8, "little")
        rest = memoryview(piece)[: size - number * PIECE]
        digest.update(rest)
        while rest:
            rest = rest[os.write(1, rest) :]
    with open(digest_file, "w", encoding="ascii") as file:
        file.write(digest.hexdigest())


if __name__ == "__main__":
    main()
