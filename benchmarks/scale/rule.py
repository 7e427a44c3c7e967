"""The backups of a make-believe cluster by rule: names, sizes and bytes of all objects, none of which is kept.

The host `sdwNNNN` has eight content ids; every segment has one small object for each table.
"""

from __future__ import annotations

import calendar
import datetime
import hashlib
import time
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from benchmarks.scale import gpbackup_texts
from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.integrity.claim import NAME, Claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.object_names import FOLDER
from fsspec_gp_plugin.keys import backup_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_DAY = datetime.date(2026, 9, 1)
COORDINATOR = "cdw"
CLUSTER = Cluster("", "7300000000000000001", COORDINATOR, "5432", "/data/gpseg-1")
# One of so many tables changes from one incremental backup to the next.
_CHANGED = 20
# Names with numbers of five and of six digits mix.
_FIRST_OID, _STEP = 99_000, 3


@dataclass(frozen=True)
class Shape:
    """The cluster and its backups, one a day. `chain`: one of so many backups is full, the others are incremental;
    `version`: of the manifests.
    """

    hosts: int
    segments: int = 8
    tables: int = 20_000
    backups: int = 30
    chain: int = 1
    version: int = 2

    @property
    def mine(self) -> int:
        """The number of the segment host that the benchmark plays."""
        return self.hosts // 2

    @property
    def timestamps(self) -> list[str]:
        """Those of the finished backups, the latest last."""
        days = (FIRST_DAY + datetime.timedelta(days=number) for number in range(self.backups))
        return [f"{day:%Y%m%d}010000" for day in days]

    def contents_of(self, host: int) -> range:
        """The content ids of a segment host."""
        return range(host * self.segments, (host + 1) * self.segments)

    def tables_of(self, number: int) -> Tables:
        """The tables whose data the backup of that number has."""
        return tables_of(self.tables, number % self.chain)


class Tables:
    """The tables whose data one kind of backup has. `ends` are the sorted ends of their objects' names."""

    def __init__(self, count: int, kind: int) -> None:
        """`count`: all tables of the database; `kind`: 0 for a full backup, 1 for the first incremental one."""
        every = range(_FIRST_OID, _FIRST_OID + _STEP * count, _STEP)
        self.oids = list(every if kind == 0 else every[kind % _CHANGED :: _CHANGED])
        self.contents = gpbackup_texts.contents(every, self.oids)
        pairs = sorted((f"{oid}.gz", oid) for oid in self.oids)
        self.ends = [end for end, _ in pairs]
        self._words = [str(oid).encode() for _, oid in pairs]
        self._repeats = [1 + oid % 7 for _, oid in pairs]
        self._lines = sum(self._repeats)
        self._digits = sum(len(word) * times for word, times in zip(self._words, self._repeats, strict=True))

    def data(self, timestamp: str, content: int, place: int) -> bytes:
        """The bytes of one object."""
        return b"%b %d %b\n" % (timestamp.encode(), content, self._words[place]) * self._repeats[place]

    def size(self, content: int, place: int) -> int:
        """How many bytes that object has."""
        return (len(str(content)) + 17 + len(self._words[place])) * self._repeats[place]

    def size_of_all(self, content: int) -> int:
        """How many bytes all objects of one content id have."""
        return (len(str(content)) + 17) * self._lines + self._digits


@lru_cache(64)
def tables_of(count: int, kind: int) -> Tables:
    """The same object for all backups of one kind."""
    return Tables(count, kind)


def digits(count: int, *of: object) -> str:
    """Hexadecimal digits that depend on nothing else."""
    return hashlib.md5(repr(of).encode(), usedforsecurity=False).hexdigest()[:count]


class Backup:
    """One backup but for its manifests. `stage`: "begun", "stored" (without a report), or "whole"; until it is whole,
    the host that the benchmark plays has left nothing but data.
    """

    def __init__(self, shape: Shape, timestamp: str, number: int, stage: str = "whole") -> None:
        self.shape = shape
        self.timestamp = timestamp
        self.number = number
        self.stage = stage
        self.prefix = backup_prefix(timestamp)
        self.claim = digits(32, timestamp, "claim")
        self.time = float(calendar.timegm(time.strptime(timestamp, "%Y%m%d%H%M%S")))
        self.tables = shape.tables_of(number)
        self._files: dict[str, bytes] = {}

    @cached_property
    def heads(self) -> list[str]:
        """The beginnings of all names but those of manifests: whole names, and what the names of one content id's data
        begin with. None is the beginning of another.
        """
        found = [NAME, *map(self._mark_name, self.hosts)]
        if self.stage != "begun":
            contents = range(self.shape.hosts * self.shape.segments)
            found += [*self.files, *(self._head(content) for content in contents)]
        return found

    @property
    def hosts(self) -> list[int]:
        """The numbers of the hosts that have left a mark; -1 is the coordinator's."""
        return [host for host in range(-1, self.shape.hosts) if self.stage == "whole" or host != self.shape.mine]

    def host_name(self, host: int) -> str:
        return COORDINATOR if host < 0 else f"sdw{host + 1:04}"

    def mark(self, host: int) -> str:
        return digits(12, self.timestamp, host)

    def _mark_name(self, host: int) -> str:
        folder = FOLDER if self.shape.version == 1 else f"{FOLDER}marks/"
        return f"{folder}{self.host_name(host)}.{self.mark(host)}.mark"

    def _head(self, content: int) -> str:
        return f"gpbackup_{content}_{self.timestamp}_"

    @cached_property
    def files(self) -> list[str]:
        """The names of gpbackup's own files."""
        ends = ["config.yaml", "metadata.sql", "plugin_config.yaml", "toc.yaml"]
        return [f"gpbackup_{self.timestamp}_{end}" for end in [*ends, *(["report"] if self.stage == "whole" else [])]]

    def ends(self, head: str) -> Sequence[str]:
        """What may follow a head, sorted."""
        return self.tables.ends if head.endswith("_") else ("",)

    def size(self, head: str, place: int) -> int:
        """The bytes of the object with that head and the end at that place."""
        if head.endswith("_"):
            return self.tables.size(int(head.split("_")[1]), place)
        return len(self.read(head))

    def read(self, name: str) -> bytes:
        """The bytes of an object, by its name below the prefix."""
        if name == NAME:
            return Claim(self.timestamp, self.claim, CLUSTER, int(self.time) * 10**9).encode()
        if name.endswith(".mark"):
            return b"{}\n"
        if name.startswith(f"gpbackup_{self.timestamp}"):
            if name not in self._files:
                self._files[name] = self._file(name.removeprefix(f"gpbackup_{self.timestamp}_"))
            return self._files[name]
        content, _, end = name.removeprefix("gpbackup_").partition(f"_{self.timestamp}_")
        return self.tables.data(self.timestamp, int(content), bisect_left(self.tables.ends, end))

    def _file(self, end: str) -> bytes:
        segments, is_incremental = self.shape.hosts * self.shape.segments, bool(self.number % self.shape.chain)
        if end == "toc.yaml":
            return self.tables.contents
        if end == "config.yaml":
            return gpbackup_texts.record(self.timestamp, segments, self._plan(), is_incremental=is_incremental)
        if end == "report":
            chain = [timestamp for timestamp, _ in self._plan()]
            return gpbackup_texts.report(self.timestamp, segments, self.shape.tables, chain)
        return b"-- made by rule\n"

    def _plan(self) -> list[tuple[str, list[int]]]:
        """The backups that a restore of this one reads, the full one first, and the tables that it reads of each."""
        plan: list[tuple[str, list[int]]] = []
        taken: set[int] = set()
        for number in range(self.number, self.number - self.number % self.shape.chain - 1, -1):
            oids = [oid for oid in self.shape.tables_of(number).oids if oid not in taken]
            taken.update(oids)
            plan.insert(0, (self.timestamp if number == self.number else self.shape.timestamps[number], oids))
        return plan

    def rows(self, host: int) -> list[tuple[int, int, int]]:
        """The content ids of a host, and the number and the bytes of their objects."""
        if host < 0:
            return [(-1, len(self.files), sum(len(self.read(name)) for name in self.files))]
        count = len(self.tables.ends)
        return [(content, count, self.tables.size_of_all(content)) for content in self.shape.contents_of(host)]

    def entries(self, content: int) -> Iterator[Entry]:
        """What a manifest has of one content id."""
        if content < 0:
            for name in sorted(self.files):
                yield Entry(name, len(self.read(name)), crc32c(self.read(name)))
            return
        head = self._head(content)
        for place, end in enumerate(self.tables.ends):
            data = self.tables.data(self.timestamp, content, place)
            yield Entry(head + end, len(data), crc32c(data))
