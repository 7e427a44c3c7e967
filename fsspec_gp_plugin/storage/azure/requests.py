"""Requests of the Blob service on this package's connections: bytes go from and into the caller's buffers."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from ...checksum import in_base64
from ..contract import TransportSecurity
from ..http.answer import if_match
from ..http.transport import Transport
from .answers import CRC, PLACEHOLDER, WRITER, ForeignAnswerError, Refusal, require_azure, service_time
from .listing import ListedPage, parse_page
from .signing import SignatureEndedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..http.answer import Answer
    from ..http.cancellation import Cancellation
    from ..http.routes import Network
    from .account import Account
    from .listing import Entry

_ENTRIES_A_PAGE = 1000
_LARGEST_PAGE = 32 << 20


class Blobs:
    """The blobs of one container, by their full names."""

    def __init__(self, account: Account, container: str, network: Network) -> None:
        """Makes no request."""
        self._account = account
        self.container = container
        self._base = f"{account.endpoint}/{container}"
        self.transport_security = TransportSecurity.to(account.endpoint, is_verified=network.verifies)
        self._transport = Transport(network)

    def credentials_end(self) -> float | None:
        """Return when the credentials end, in seconds since 1970; None if it is unknown or they are renewed before."""
        return self._account.authorizer.end()

    def clock_offset(self) -> float | None:
        """Return the seconds by which the service's clock is ahead of this host's; None if it is unknown."""
        return self._transport.clock_offset()

    def put(self, name: str, data: memoryview, crc: int, condition: Mapping[str, str]) -> Mapping[str, str]:
        """Store a whole blob; return the response's headers. `condition`: a conditional header of HTTP, or nothing."""
        headers = {"x-ms-blob-type": "BlockBlob", CRC: in_base64(crc), "Content-MD5": _md5(data), **condition}
        return self._done(self._exchange("PUT", self._url(name), headers, data), 201)

    def put_block(self, name: str, block: str, data: memoryview, cancellation: Cancellation) -> None:
        """Store a block that put_block_list() can make part of the blob; the service checks it where TLS doesn't."""
        url = self._url(name, comp="block", blockid=block)
        headers = {} if self.transport_security.is_encrypted else {"Content-MD5": _md5(data)}
        self._done(self._exchange("PUT", url, headers, data, cancellation=cancellation), 201)

    def put_block_list(self, name: str, blocks: list[str], crc: int, writer: str) -> None:
        """Make a blob of uncommitted blocks, and of nothing else."""
        self._put_block_list(name, blocks, {CRC: in_base64(crc), WRITER: writer})

    def put_placeholder(self, name: str) -> str:
        """Make an empty blob if none exists, which drops its uncommitted blocks; return the blob's ETag."""
        headers = self._put_block_list(name, [], {PLACEHOLDER: "1", "If-None-Match": "*"})
        return headers.get("etag", "")

    def _put_block_list(self, name: str, blocks: list[str], headers: dict[str, str]) -> Mapping[str, str]:
        listed = "".join(f"<Uncommitted>{escape(block)}</Uncommitted>" for block in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        headers = {"Content-Type": "application/xml", "x-ms-blob-content-type": "application/octet-stream", **headers}
        with memoryview(body) as view:
            return self._done(self._exchange("PUT", self._url(name, comp="blocklist"), headers, view), 201)

    def head(self, name: str) -> Mapping[str, str]:
        """Return the headers of a blob."""
        return self._done(self._exchange("HEAD", self._url(name), {}, None), 200)

    def get(self, name: str, start: int, end: int, version: str | None) -> Answer:
        """Return the response to a read of bytes `start` to before `end` of a version; the caller must end it."""
        headers = {"Range": f"bytes={start}-{end - 1}", **if_match(version)}
        return self._exchange("GET", self._url(name), headers, None, expected=end - start)

    def delete(self, name: str, version: str | None = None) -> None:
        """Delete a blob with its snapshots; with a version, that one only."""
        headers = {"x-ms-delete-snapshots": "include", **({"If-Match": version} if version else {})}
        self._done(self._exchange("DELETE", self._url(name), headers, None), 202)

    def delete_directory(self, name: str, version: str | None) -> None:
        """Delete the blob of a directory; with a hierarchical namespace, only an empty directory."""
        self._done(self._exchange("DELETE", self._url(name), {"If-Match": version} if version else {}, None), 202)

    def is_immutable(self) -> bool:
        """Return whether the container is immutable, so that not even an empty blob could be deleted."""
        headers = self._done(self._exchange("HEAD", f"{self._base}?restype=container", {}, None), 200)
        names = (
            "x-ms-has-immutability-policy", "x-ms-has-legal-hold", "x-ms-immutable-storage-with-versioning-enabled",
        )  # fmt: skip
        return any(headers.get(name, "").lower() == "true" for name in names)

    def list(self, prefix: str, *, uncommitted: bool = False, most: int = _ENTRIES_A_PAGE) -> Iterator[Entry]:
        """Yield the blobs whose names begin with the prefix, page by page; with `uncommitted`, also names to which
        blocks were put and that are no blobs. `most`: entries of a page.
        """
        marker = ""
        while True:
            page = self.page(prefix, marker, uncommitted=uncommitted, most=most)
            yield from page.entries
            if not page.following:
                return
            marker = page.following

    def page(
        self, prefix: str, marker: str, *, shallow: bool = False, uncommitted: bool = False, most: int = _ENTRIES_A_PAGE
    ) -> ListedPage:
        """Request one page of list(). `marker`: the `following` of the page before, "" for the first one. `shallow`: by
        the delimiter "/".
        """
        query = {
            "restype": "container",
            "comp": "list",
            "prefix": prefix,
            "include": "metadata,uncommittedblobs" if uncommitted else "metadata",
            "maxresults": str(most),
            **({"delimiter": "/"} if shallow else {}),
            **({"marker": marker} if marker else {}),
        }
        page = parse_page(self._page(f"{self._base}?{urlencode(query, quote_via=quote)}"))
        if page.following and page.following == marker:
            raise ForeignAnswerError("it says that there is more to list, but not how to get it")
        return page

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
        if answer.status in (401, 403) and end is not None and service_time(answer.headers) >= end:
            raise SignatureEndedError(str(refusal)) from None
        raise refusal

    @staticmethod
    def _done(answer: Answer, status: int) -> Mapping[str, str]:
        """Return the headers of a response, which must have that status; its body is not needed."""
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
        """Close connections and credentials."""
        self._transport.forget()
        self._account.authorizer.close()


def _md5(data: memoryview) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
