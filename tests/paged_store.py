"""A Store in memory that lists pages of 1,000 names and counts requests, and whole backups of many hosts at it."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from fsspec_gp_plugin.integrity.claim import NAME, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import ObjectInfo, Page
from fsspec_gp_plugin.storage.pages import Pages
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

T = "20260102030405"
FOLDER = "fsspec_gp_plugin/"
REPORT = """\
Greenplum Database Backup Report

timestamp key:            {timestamp}
database name:            sales
incremental:              {incremental}

backup status:            {status}

segment count:            {segments}
"""


class PagedStore(FakeStore):
    """Lists pages of 1,000 names, in order, and counts requests."""

    def __init__(self, *, lists_by_prefix: bool = True) -> None:
        super().__init__()
        self.capabilities = self.capabilities._replace(lists_by_prefix=lists_by_prefix)
        self.listed: list[str] = []
        self._names: list[str] = []

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        del unfinished
        if len(self._names) != len(self.objects):
            self._names = sorted(self.objects)

        def request(after: str) -> tuple[Page, str | None]:
            self.listed.append(prefix)
            objects: list[ObjectInfo] = []
            folders: list[str] = []
            at = bisect.bisect_left(self._names, max(prefix, after))
            while at < len(self._names) and (key := self._names[at]).startswith(prefix):
                if len(objects) + len(folders) == 1000:
                    return Page(objects, folders), key
                name, slash, _ = key[len(prefix) :].partition("/")
                if shallow and slash:
                    folders.append(f"{prefix}{name}/")
                    at = bisect.bisect_left(self._names, f"{prefix}{name}0")  # "0" comes after "/"
                else:
                    objects.append(super(PagedStore, self).stat(key))
                    at += 1
            return Page(objects, folders), None

        return Pages(request, "")

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        for page in self.list_pages(prefix, unfinished=unfinished):
            yield from page.objects

    def stat(self, key: str) -> ObjectInfo:
        self.step("stat", key)
        return super().stat(key)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        self.step("fetch", key)
        info = super().stat(key)
        count = min(len(into), info.size)
        into[:count] = self.objects[key][:count]
        return info, iter([count])

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self.listed) + len(self.calls)


def manifest_name(host: int, contents: str, objects: int, size: int, token: int = 1) -> str:
    """The name of a manifest below the prefix."""
    return f"{FOLDER}sdw{host}.{host:012x}-{token:06x}.c{contents}.{objects}o.{size}b.manifest.gz"


def put_whole(
    store: FakeStore, timestamp: str, *, hosts: int = 2, per_host: int = 2, needs: tuple[str, ...] = (), tables: int = 3
) -> str:
    """A whole backup of some hosts with so many segments each, and a coordinator; returns its prefix."""
    prefix = backup_prefix(timestamp)
    stamps = "".join(f"\n{one:24}" for one in (*needs, timestamp)) if needs else ""
    report = REPORT.format(
        timestamp=timestamp,
        incremental="True\nincremental backup set:   " + stamps if needs else "False",
        status="Success",
        segments=hosts * per_host,
    )
    store.objects |= {
        f"{prefix}gpbackup_{timestamp}_report": report.encode(),
        f"{prefix}gpbackup_{timestamp}_toc.yaml": b"toc",
        f"{prefix}gpbackup_{timestamp}_config.yaml": b"?",
        f"{prefix}gpbackup_{timestamp}_metadata.sql": b"--",
        prefix + NAME: new_claim(timestamp, Cluster(host="mdw")).encode(),
        prefix + manifest_name(hosts, "-1", 4, 100): b"",
    }
    for host in range(hosts):
        first = host * per_host
        name = manifest_name(host, f"{first}-{first + per_host - 1}", per_host * tables, per_host * tables * 10)
        store.objects[prefix + name] = b""
    for host in range(hosts + 1):
        store.objects[f"{prefix}{FOLDER}marks/sdw{host}.{host:012x}.mark"] = b""
    return prefix


def put_objects(store: FakeStore, timestamp: str, count: int) -> None:
    """Data of the first segment."""
    store.objects |= {f"{backup_prefix(timestamp)}gpbackup_0_{timestamp}_{n:06}.gz": b"rows" for n in range(count)}
