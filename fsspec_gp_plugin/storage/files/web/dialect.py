"""Web servers: to restore from, as they take no files."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ....errors import StorageError
from ...contract import TransportSecurity
from ...http.answer import require_range, total_size
from ..dialect import ReadOnlyDialect
from ..tree import TreeDialect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...contract import ObjectInfo

_LONGEST_CONNECT = 10.0
_LARGEST_PAGE = 64 << 20
# At most one match begins at each place of the text, and none goes beyond the next tag or quotation mark: the time that
# fsspec's pattern takes grows with the cube of the blanks after "<a".
_TAG = re.compile(r"<a(\s[^<>]*)", re.IGNORECASE)
_TARGET = re.compile(r"""\shref=["']([^"']+)""", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[-a-zA-Z0-9@:%_+.~#?&/=]+")
_UP = ("..", "../")


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> HttpDialect:
    """The dialect for a URL. Does not connect."""
    from fsspec.implementations.http import HTTPFileSystem

    protocol = url.partition("://")[0]
    given = {**options, "skip_instance_cache": True, "use_listings_cache": False}
    dialect = HttpDialect(lambda: HTTPFileSystem(**given), timeout, protocol)
    dialect.transport_security = TransportSecurity.to(url, is_verified=options.get("ssl", True) is not False)
    return dialect


class HttpDialect(ReadOnlyDialect, TreeDialect):
    """Files on a web server, by the aiohttp session of fsspec's HTTPFileSystem. fsspec's own reads take a whole file
    into memory where a server sends no ranges, and take a connection that breaks for a missing file.
    """

    parallel_reads = True

    def disconnect(self, fs: Any) -> None:
        from fsspec.asyn import sync

        session, fs._session = fs._session, None  # noqa: SLF001 - nothing else closes it before the process ends
        if session is not None:
            with suppress(Exception):
                sync(fs.loop, session.close, timeout=1)

    def size(self, fs: Any, path: str) -> int:
        return self.size_and_version(fs, path)[0]

    def size_and_version(self, fs: Any, path: str) -> tuple[int, str | None]:
        from fsspec.asyn import sync

        answer: tuple[int, str | None] = sync(fs.loop, self._look, fs, path)
        return answer

    def entries(self, fs: Any, path: str) -> list[tuple[str, int | None]]:
        from fsspec.asyn import sync

        try:
            names = sync(fs.loop, self._names, fs, path) or sync(fs.loop, self._names, fs, path.rstrip("/"))
        except FileNotFoundError:
            return []
        itself = path.strip("/")
        return [
            (name, None if name.endswith("/") else self._listed_size(fs, name, {}))
            for name in sorted(names)
            if name.strip("/") != itself
        ]

    async def _names(self, fs: Any, path: str) -> set[str]:
        session = await fs.set_session()
        async with session.get(fs.encode_url(path), **self._keywords(fs, {})) as answer:
            _require_success(path, answer)
            if answer.headers.get("Content-Type", "text/html").partition(";")[0] != "text/html":
                return set()
            page = bytearray()
            while piece := await answer.content.readany():
                page += piece
                if len(page) > _LARGEST_PAGE:
                    raise StorageError(f"can't list {path}: its page has more than {_LARGEST_PAGE} bytes")
        return names_below(path, page.decode(errors="ignore"), simple=fs.simple_links)

    def read_version(self, fs: Any, path: str, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        from fsspec.asyn import sync

        filled, error = sync(fs.loop, self._read, fs, path, info, start, into)
        if filled:
            yield filled
        if error is not None:
            raise error

    async def _look(self, fs: Any, path: str) -> tuple[int, str | None]:
        # An encoded answer has another length.
        session = await fs.set_session()
        async with session.head(
            path, allow_redirects=True, **self._keywords(fs, {"Accept-Encoding": "identity"})
        ) as answer:
            _require_success(path, answer)
            if (size := total_size(answer.headers, 200)) is not None:
                return size, answer.headers.get("ETag")
        async with session.get(path, **self._keywords(fs, {"Range": "bytes=0-0"})) as answer:
            _require_success(path, answer)
            size = total_size(answer.headers, answer.status)
            if size is None:
                raise StorageError(f"can't tell the size of {path}")
            return size, answer.headers.get("ETag")

    async def _read(
        self, fs: Any, path: str, info: ObjectInfo, start: int, into: memoryview
    ) -> tuple[int, Exception | None]:
        session = await fs.set_session()
        filled = 0
        end = start + len(into)
        wanted = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        try:
            async with session.get(path, **self._keywords(fs, wanted)) as answer:
                _require_success(path, answer)
                require_range(path, answer.headers, (start, end), info.size, info.version)
                while filled < len(into) and (piece := await answer.content.readany()):
                    piece = piece[: len(into) - filled]
                    into[filled : filled + len(piece)] = piece
                    filled += len(piece)
        except Exception as error:  # noqa: BLE001 - raised after what came was yielded
            return filled, error
        return filled, None if filled == len(into) else EOFError(f"the answer ended at byte {start + filled}")

    def _keywords(self, fs: Any, headers: dict[str, str]) -> dict[str, Any]:
        import aiohttp

        return {
            **fs.kwargs,
            "headers": {**fs.kwargs.get("headers", {}), **headers},
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=min(_LONGEST_CONNECT, self.timeout), sock_read=self.timeout
            ),
        }


def _require_success(path: str, answer: Any) -> None:
    if answer.status in (404, 410):
        raise FileNotFoundError(path)
    answer.raise_for_status()


def names_below(url: str, text: str, *, simple: bool) -> set[str]:
    """The addresses below that of a page to which it links. `simple`: also addresses in its text."""
    links = [target[1] for tag in _TAG.finditer(text) if (target := _TARGET.search(tag[1]))]
    if simple:
        links += _ADDRESS.findall(text)
    parts = urlsplit(url)
    folder = url.rstrip("/") + "/"
    addresses: set[str] = set()
    for link in links:
        address = f"{parts.scheme}://{parts.netloc}{link}" if link.startswith("/") and len(link) > 1 else link
        if address.startswith("http"):
            if address.split("://")[-1].startswith(folder.split("://")[-1]):
                addresses.add(address)
        elif address not in _UP:
            addresses.add(folder + address.lstrip("/"))
    return addresses
