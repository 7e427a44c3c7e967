"""The requests of the Blob service that a store needs, on connections of our own: bytes go from and into the caller's
buffers.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from ...checksum import in_base64
from ..contract import Way
from ..http.ranges import if_match
from ..http.transport import Transport
from .answers import CRC, PLACEHOLDER, WRITER, ForeignAnswerError, Refusal, require_azure, time_told
from .network import network
from .signing import SignatureEndedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..http.answer import Answer
    from ..http.cancellation import Cancellation
    from .account import Account

_ENTRIES_A_PAGE = 1000
_LARGEST_PAGE = 32 << 20


@dataclass(frozen=True)
class Entry:
    """What a listing tells of a blob; `headers` are its metadata, by the names that they have as headers. `modified`:
    seconds since 1970. `archived`: it can't be read, also while it is on its way out of the archive tier.
    """

    name: str
    size: int
    etag: str | None
    is_directory: bool
    headers: Mapping[str, str] = field(repr=False)
    modified: float | None = None
    archived: bool = False


class Blobs:
    """The blobs of one container. Names are whole ones."""

    def __init__(self, account: Account, container: str, timeout: float) -> None:
        """`timeout`: seconds for which a request may stand still. Makes no request."""
        self._account = account
        self.container = container
        self._base = f"{account.endpoint}/{container}"
        reached = network(account.endpoint, timeout)
        self.way = Way.to(account.endpoint, is_verified=reached.verifies)
        self._transport = Transport(reached)

    def credentials_end(self) -> float | None:
        """When the credentials end, in seconds since 1970, where that is known and nothing renews them before."""
        return self._account.authorizer.end()

    def clock_offset(self) -> float | None:
        """Seconds by which the service's clock is ahead of this host's; None if it is unknown."""
        return self._transport.clock_offset()

    def put(self, name: str, data: memoryview, crc: int, condition: Mapping[str, str]) -> Mapping[str, str]:
        """Store a whole blob; returns the answer's headers. `condition`: a header of HTTP's conditions, or nothing."""
        headers = {"x-ms-blob-type": "BlockBlob", CRC: in_base64(crc), "Content-MD5": _md5(data), **condition}
        return self._done(self._exchange("PUT", self._url(name), headers, data), 201)

    def put_block(self, name: str, block: str, data: memoryview, cancellation: Cancellation) -> None:
        """Store a block that put_block_list() can make part of the blob; the service checks it where TLS doesn't."""
        url = self._url(name, comp="block", blockid=block)
        headers = {} if self.way.is_encrypted else {"Content-MD5": _md5(data)}
        self._done(self._exchange("PUT", url, headers, data, cancellation=cancellation), 201)

    def put_block_list(self, name: str, blocks: list[str], crc: int, writer: str) -> None:
        """Make a blob of blocks that were put and belong to none yet, and of nothing else."""
        self._put_block_list(name, blocks, {CRC: in_base64(crc), WRITER: writer})

    def put_placeholder(self, name: str) -> str:
        """Make an empty blob where there is none, which drops the blocks that were put there; returns its ETag."""
        headers = self._put_block_list(name, [], {PLACEHOLDER: "1", "If-None-Match": "*"})
        return headers.get("etag", "")

    def _put_block_list(self, name: str, blocks: list[str], headers: dict[str, str]) -> Mapping[str, str]:
        listed = "".join(f"<Uncommitted>{escape(block)}</Uncommitted>" for block in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        headers = {"Content-Type": "application/xml", "x-ms-blob-content-type": "application/octet-stream", **headers}
        with memoryview(body) as view:
            return self._done(self._exchange("PUT", self._url(name, comp="blocklist"), headers, view), 201)

    def head(self, name: str) -> Mapping[str, str]:
        """The headers of a blob."""
        return self._done(self._exchange("HEAD", self._url(name), {}, None), 200)

    def get(self, name: str, start: int, end: int, version: str | None) -> Answer:
        """The answer to a read of bytes `start` to before `end` of that version; to be ended by the caller."""
        headers = {"Range": f"bytes={start}-{end - 1}", **if_match(version)}
        return self._exchange("GET", self._url(name), headers, None, expected=end - start)

    def delete(self, name: str, version: str | None = None) -> None:
        """Delete a blob with its snapshots; with a version, that one only."""
        headers = {"x-ms-delete-snapshots": "include", **({"If-Match": version} if version else {})}
        self._done(self._exchange("DELETE", self._url(name), headers, None), 202)

    def delete_directory(self, name: str, version: str | None) -> None:
        """Delete what stands for a directory; with a hierarchical namespace, only where it is empty."""
        self._done(self._exchange("DELETE", self._url(name), {"If-Match": version} if version else {}, None), 202)

    def is_immutable(self) -> bool:
        """Whether the container keeps what was written, so that not even an empty blob could be deleted."""
        headers = self._done(self._exchange("HEAD", f"{self._base}?restype=container", {}, None), 200)
        names = (
            "x-ms-has-immutability-policy", "x-ms-has-legal-hold", "x-ms-immutable-storage-with-versioning-enabled",
        )  # fmt: skip
        return any(headers.get(name, "").lower() == "true" for name in names)

    def list(self, prefix: str, *, uncommitted: bool = False, most: int = _ENTRIES_A_PAGE) -> Iterator[Entry]:
        """The blobs whose names begin with the prefix, page after page; with `uncommitted`, also names to which
        blocks were put and that are no blobs. `most`: entries of a page.
        """
        from .listing import entries

        marker = ""
        while True:
            query = {
                "restype": "container",
                "comp": "list",
                "prefix": prefix,
                "include": "metadata,uncommittedblobs" if uncommitted else "metadata",
                "maxresults": str(most),
                **({"marker": marker} if marker else {}),
            }
            found, following = entries(self._page(f"{self._base}?{urlencode(query, quote_via=quote)}"))
            yield from found
            if not following:
                return
            if following == marker:
                raise ForeignAnswerError("it says that there is more to list, but not how to get it")
            marker = following

    def _page(self, url: str) -> bytes:
        answer = self._exchange("GET", url, {}, None, expected=1 << 20)
        try:
            require_azure(answer.headers)
            body, piece = bytearray(), bytearray(256 << 10)
            with memoryview(piece) as view:
                while count := answer.read_into(view):
                    body += view[:count]
                    if len(body) > _LARGEST_PAGE:
                        raise ForeignAnswerError("a page of the listing is too large")
        finally:
            answer.end()
        return bytes(body)

    def _url(self, name: str, **query: str) -> str:
        return f"{self._base}/{quote(name, safe='/')}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")

    def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: memoryview | None,
        *,
        expected: int = 0,
        cancellation: Cancellation | None = None,
    ) -> Answer:
        url, sent = self._account.authorizer.authorize(method, url, headers, len(body or b""))
        answer = self._transport.exchange(method, url, sent, body, expected=expected, cancellation=cancellation)
        if 200 <= answer.status < 300:
            return answer
        try:
            refusal = Refusal(answer.status, answer.headers, answer.text() if method != "HEAD" else "")
        finally:
            answer.end()
        end = self.credentials_end()
        if answer.status in (401, 403) and end is not None and time_told(answer.headers) >= end:
            raise SignatureEndedError(str(refusal)) from None
        raise refusal

    @staticmethod
    def _done(answer: Answer, status: int) -> Mapping[str, str]:
        """The headers of an answer whose body is empty or no matter; its status must be that one."""
        try:
            if answer.status != status:
                raise ForeignAnswerError(f"HTTP status {answer.status} instead of {status}")
            require_azure(answer.headers)
            if answer.length is None or answer.length <= 1 << 16:
                answer.text()
            return answer.headers
        finally:
            answer.end()

    def close(self) -> None:
        """Let go of connections and credentials."""
        self._transport.forget()
        self._account.authorizer.close()


def _md5(data: memoryview) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
