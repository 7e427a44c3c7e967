"""Merges the manifests of all hosts into one table of a database file, so that they need no memory.

If one host has several entries for an object, the latest counts, as after a hook that ran twice. The entries of two
hosts for an object must be equal: an object has one writer, and if two hosts have written it, it is unknown whose bytes
it has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .manifest import BadManifest, Header

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from .entries import Entry

    # A manifest's key, and what manifest.decode() gives of it.
    Manifest = tuple[str, Iterable[Header | Entry]]

_BATCH = 1_000
# `signer`: the number of the host whose entry it is, 0 if several have the same. `clash`: two hosts differ, or may.
_SCHEMA = """
    CREATE TABLE object (
        name BLOB PRIMARY KEY, size INT, crc32c INT, created INT, signer INT, clash INT DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE manifest (key TEXT, host TEXT);
"""
_INSERT = """
    INSERT INTO object (name, size, crc32c, created, signer) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
        clash = clash OR signer <> excluded.signer AND (size <> excluded.size OR crc32c <> excluded.crc32c),
        size = CASE signer WHEN excluded.signer THEN excluded.size ELSE size END,
        crc32c = CASE signer WHEN excluded.signer THEN excluded.crc32c ELSE crc32c END,
        created = CASE signer WHEN excluded.signer THEN excluded.created ELSE created END,
        signer = CASE signer WHEN excluded.signer THEN signer ELSE 0 END
    WHERE signer <> excluded.signer OR excluded.created >= created
"""
# The latest entry of each host, for the objects about which hosts may differ.
_LATEST = """
    CREATE TABLE word (
        name BLOB, signer INT, size INT, crc32c INT, created INT, manifest INT, PRIMARY KEY (name, signer)
    ) WITHOUT ROWID
"""
_INSERT_LATEST = """
    INSERT INTO word (name, size, crc32c, created, signer, manifest) SELECT ?1, ?2, ?3, ?4, ?5, ?6
    WHERE EXISTS (SELECT 1 FROM object WHERE name = ?1 AND clash) ON CONFLICT (name, signer) DO UPDATE SET
        size = excluded.size, crc32c = excluded.crc32c, created = excluded.created, manifest = excluded.manifest
    WHERE excluded.created >= created
"""
_DIFFERING = """
    SELECT one.name, one.size, one.crc32c, one.manifest, two.size, two.crc32c, two.manifest
    FROM word AS one JOIN word AS two USING (name)
    WHERE one.signer < two.signer AND (one.size <> two.size OR one.crc32c <> two.crc32c) ORDER BY one.name LIMIT 1
"""
_COUNT_DIFFERING = """
    SELECT count(*) FROM
    (SELECT 1 FROM word GROUP BY name HAVING min(size) <> max(size) OR min(crc32c) <> max(crc32c))
"""


def merge(database: sqlite3.Connection, manifests: Callable[[], Iterable[Manifest]], claim: str) -> int:
    """Fill the table `object` from manifests. Returns how many objects they name. `claim`: the token of the backup's
    claim, "" if it is unknown.

    Raises BadManifest if two hosts disagree about an object, or a manifest belongs to another run.
    """
    database.executescript(_SCHEMA)
    signers: dict[tuple[str, str], int] = {}
    for number, (key, lines) in enumerate(manifests()):
        with database:
            header, entries = _split_header(key, lines)
            claim = _require_same_claim(header, key, claim)
            signer = signers.setdefault((header.host, header.mark), len(signers) + 1)
            database.execute("INSERT INTO manifest (rowid, key, host) VALUES (?, ?, ?)", (number, key, header.host))
            for batch in _batches((header.created, signer), entries):
                database.executemany(_INSERT, batch)
    count, clashes = database.execute("SELECT count(*), total(clash) FROM object").fetchone()
    if clashes:
        _settle(database, manifests, signers)
    return int(count)


def _split_header(key: str, lines: Iterable[Header | Entry]) -> tuple[Header, Iterator[Entry]]:
    rest = iter(lines)
    header = next(rest)
    if not isinstance(header, Header):
        raise BadManifest(f"{key} is not a manifest of this plugin")
    return header, (one for one in rest if not isinstance(one, Header))


def _require_same_claim(header: Header, key: str, claim: str) -> str:
    if header.claim and claim and header.claim != claim:
        raise BadManifest(
            f"{key} of host {header.host} belongs to another run: its claim is not this backup's, so two "
            "runs have written to this prefix"
        )
    return claim or header.claim


def _batches(more: tuple[int, ...], entries: Iterable[Entry]) -> Iterator[list[tuple[object, ...]]]:
    batch: list[tuple[object, ...]] = []
    for one in entries:
        batch.append((os.fsencode(one.name), one.size, one.crc32c, *more))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _settle(
    database: sqlite3.Connection, manifests: Callable[[], Iterable[Manifest]], signers: dict[tuple[str, str], int]
) -> None:
    """Compare the latest entries of all hosts, as a host may have corrected its own. Raises BadManifest."""
    database.execute(_LATEST)
    for key, lines in manifests():  # perhaps in another order than before
        with database:
            header, entries = _split_header(key, lines)
            [(number,)] = database.execute("SELECT rowid FROM manifest WHERE key = ?", (key,))
            for batch in _batches((header.created, signers[header.host, header.mark], number), entries):
                database.executemany(_INSERT_LATEST, batch)
    differing = database.execute(_DIFFERING).fetchone()
    if differing is None:
        with database:
            database.execute("INSERT OR REPLACE INTO object SELECT name, size, crc32c, created, 0, 0 FROM word")
            database.execute("DROP TABLE word")
        return
    (more,) = database.execute(_COUNT_DIFFERING).fetchone()
    name, *entries = differing
    # By host, as manifests come in any order.
    both = sorted([_describe(database, *entries[:3]), _describe(database, *entries[3:])])
    raise BadManifest(
        f"two hosts disagree about {os.fsdecode(name)}{f' and {more - 1} more objects' if more > 1 else ''}: "
        f"{' and '.join(both)}; two runs may have written it"
    )


def _describe(database: sqlite3.Connection, size: int, crc: int, manifest: int) -> str:
    key, host = database.execute("SELECT key, host FROM manifest WHERE rowid = ?", (manifest,)).fetchone()
    return f"{host} says {size} bytes with CRC-32C {crc:08x} ({key})"
