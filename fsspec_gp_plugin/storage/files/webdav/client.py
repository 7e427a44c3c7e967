"""Files on a WebDAV server, by the HTTP client of webdav4's fsspec filesystem, with all of its options. webdav4's own
file objects keep a whole upload on the local disk, and may send it after an error, too.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

from webdav4.client import ResourceAlreadyExists, parse_multistatus_response

from ....errors import StorageError, Unreachable
from ...http.answer import opaque, require_range
from ...link import note_sent
from ...plain_xml import require_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...contract import ObjectInfo

_RANGE_LIMIT = 256 << 10
_PIECE = 1 << 20


class Webdav:
    """For one thread at a time, except for close()."""

    def __init__(self, fs: Any) -> None:
        """`fs` is webdav4's filesystem. Connects with the first call."""
        self._client = fs.client
        self._made: set[str] = set()

    def stat(self, path: str) -> tuple[int, str | None] | None:
        """Bytes and ETag of a file, None of a directory."""
        responses = self._responses(path, {"Depth": "0"})
        properties = next(iter(responses.values())).properties
        return None if properties.collection else (int(properties.content_length), properties.etag)

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        responses = self._responses(path, {"Depth": "1"}, follow_redirects=True)
        itself = self._client.join_url(quote(path)).path.rstrip("/")
        return [
            (
                href.rstrip("/").rpartition("/")[2],
                None if one.properties.collection else int(one.properties.content_length or 0),
            )
            for href, one in responses.items()
            if href.rstrip("/") != itself
        ]

    def _responses(self, path: str, headers: dict[str, str], **options: bool) -> dict[str, Any]:
        """Properties of a file or a directory, and of its entries, by their path."""
        try:
            responses = self._propfind(path, headers, options)
        except (AssertionError, KeyError, ValueError, ParseError):  # without what is needed, or no XML
            responses = {}
        if not responses:
            raise Unreachable(f"can't look at {path}: the answer is not the server's; check `base_url` and the proxy")
        return responses

    def _propfind(self, path: str, headers: dict[str, str], options: dict[str, bool]) -> dict[str, Any]:
        # This is webdav4's propfind(), with a check of the answer before webdav4 parses it.
        client = self._client
        answer = client.with_retry(
            lambda: client._request("PROPFIND", quote(path), headers=headers, **options)  # noqa: SLF001
        )
        require_plain(answer.content)
        responses: dict[str, Any] = parse_multistatus_response(answer).responses
        return responses

    def put(self, path: str, data: memoryview) -> None:
        """Store a whole file. Raises FileNotFoundError where its directory is missing."""
        try:
            self._client.request("PUT", quote(path), content=bytes(data))
        except Exception as error:
            if getattr(error, "status_code", 0) in (404, 409):
                self._made.clear()  # other hosts have removed it
                raise FileNotFoundError(path) from error
            raise

    def upload(self, path: str) -> ChunkedUpload:
        """Begin to store a file whose size is unknown."""
        return ChunkedUpload(lambda body: self._client.request("PUT", quote(path), content=body))

    def rename(self, source: str, target: str) -> None:
        self._client.move(quote(source), quote(target), overwrite=True)

    def remove(self, path: str) -> None:
        self._client.remove(quote(path))

    def remove_directory(self, path: str) -> None:
        """Do nothing: DELETE removes a directory with all that is in it, also what another host has just put there."""

    def make_directories(self, path: str) -> None:
        names = path.strip("/").split("/")
        for count in range(1, len(names) + 1):
            folder = "/".join(names[:count])
            if folder not in self._made:
                with suppress(ResourceAlreadyExists):
                    self._client.mkdir(quote(folder))
                self._made.add(folder)

    def read(self, path: str, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer from a byte on, from the file that `info` describes; yields how many came."""
        end = start + len(into)
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        filled = 0
        with self._client.http.stream("GET", self._client.join_url(quote(path)), headers=headers) as answer:
            answer.raise_for_status()
            version, etag = info.version, answer.headers.get("etag")
            if version and etag and opaque(etag) != opaque(version) and self.stat(path) == (info.size, version):
                version = None  # PROPFIND gives other ETags than GET
            require_range(path, answer.headers, (start, end), info.size, version)
            for piece in answer.iter_raw(_RANGE_LIMIT):
                count = min(len(piece), len(into) - filled)
                into[filled : filled + count] = piece[:count]
                filled += count
                yield count
                if filled == len(into):
                    break
        if filled < len(into):
            raise Unreachable(f"can't read {path}: {filled} bytes came of {len(into)} at {start}")

    def close(self) -> None:
        self._client.http.close()


class ChunkedUpload:
    """One upload whose size is unknown before its end: a single PUT in chunks, by a thread of its own.

    WebDAV has no parts, so sent data can't be sent again: a connection that breaks ends the upload.
    """

    def __init__(self, request: Callable[[Iterator[bytes]], Any]) -> None:
        """`request` makes the request with a body that is read to its end, and raises when it fails."""
        self._pieces: queue.Queue[memoryview | None] = queue.Queue(maxsize=1)
        self._taken = threading.Semaphore(0)
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._aborted = False
        self._request = request
        self._thread = threading.Thread(target=self._work, name="webdav-upload", daemon=True)
        self._thread.start()

    def write(self, data: memoryview) -> None:
        """Send data; returns when it is sent, or raises the request's error."""
        self._raise()
        for at in range(0, len(data), _PIECE):
            self._pieces.put(data[at : at + _PIECE])
            # Until the request takes the next piece, it may still read from the caller's buffer.
            self._taken.acquire()
            self._raise()
            note_sent(min(_PIECE, len(data) - at))

    def end(self) -> None:
        """End the data; returns when the server has all of it, or raises the request's error."""
        self._raise()
        self._pieces.put(None)
        self._ended.wait()
        self._raise(ended=True)

    def abort(self, wait: float = 0.0) -> None:
        """Break the request off: it fails when it takes more data. Waits for that for `wait` seconds at most."""
        self._aborted = True
        if not self._ended.is_set():
            with suppress(queue.Full):  # then the request notices with its next piece
                self._pieces.put_nowait(None)
            self._taken.release()  # write() need not wait for a request that stands still
        if wait:
            self._ended.wait(wait)

    def _raise(self, *, ended: bool = False) -> None:
        if self._error is not None:
            raise self._error
        if self._aborted:
            raise StorageError("aborted")
        if self._ended.is_set() and not ended:
            raise StorageError("the server answered before it had all of the data")

    def _work(self) -> None:
        try:
            self._request(self._body())
        except BaseException as error:  # noqa: BLE001 - raised where the data comes from
            self._error = error
        finally:
            self._ended.set()
            self._taken.release()

    def _body(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None and not self._aborted:
            data = bytes(piece)
            self._taken.release()
            yield data
        if self._aborted:
            raise StorageError("aborted")
