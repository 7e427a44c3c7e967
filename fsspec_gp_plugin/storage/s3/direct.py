"""S3's parts, ranges and small objects by presigned requests on connections of our own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ..http.ranges import if_match
from ..http.routes import UnknownProxyError
from ..http.transport import Transport
from ..plain_xml import element
from .signing import CannotPresignError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..http.answer import Answer
    from ..http.cancellation import Cancellation
    from ..http.routes import Network
    from .signing import Presigned, Signer

# A signature ends with the credentials that it was made with, of which nobody knows how long they last.
_SHARED_SIGNATURE_SECONDS = 60
# As many objects as one process restores at once.
_MOST_SHARED = 64


class Refusal(Exception):
    """An answer that is no success, in the form of botocore's errors, which storage.errors understands."""

    def __init__(self, status: int, text: str) -> None:
        """`text` is the answer's body: XML, or whatever a gateway sends instead."""
        code = element("Code", text)
        message = element("Message", text)
        super().__init__(f"HTTP status {status}{f', {code}' if code else ''}{f': {message}' if message else ''}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": str(status)},
        }


class Direct:
    """Presigned requests of one bucket."""

    def __init__(self, signer: Signer, network: Callable[[], Network]) -> None:
        """`network` is asked once, with the first request."""
        self._signer = signer
        self._network = network
        self._transport: Transport | None = None
        self._shared: dict[str, tuple[float, Presigned]] = {}
        self._lock = threading.Lock()

    def send(
        self, operation: str, data: memoryview, cancellation: Cancellation | None = None, **parameters: Any
    ) -> Mapping[str, str]:
        """Make a request with a body; returns the headers of its answer. Refusal when it is no success."""
        answer = self._exchange(self._signer.presign(operation, **parameters), {}, data, cancellation=cancellation)
        try:
            answer.text()
            return answer.headers
        finally:
            answer.end()

    def head(self, **parameters: Any) -> Mapping[str, str]:
        """The headers of an object. Refusal when it is not there."""
        answer = self._exchange(self._signer.presign("head_object", **parameters), {}, None)
        answer.end()
        return answer.headers

    def get(self, target: dict[str, str], start: int, end: int, version: str | None) -> Answer:
        """The answer to a ranged read, of bytes `start` to before `end` of that version; to be ended by the caller."""
        headers = {"Range": f"bytes={start}-{end - 1}", **if_match(version)}
        return self._exchange(self._shared_request(target), headers, None, expected=end - start)

    @property
    def transport(self) -> Transport:
        """The connections."""
        with self._lock:
            if self._transport is None:
                self._transport = Transport(self._network())
            return self._transport

    def clock_offset(self) -> float | None:
        """The last answer's Date, and this host's time when it came."""
        return self._transport.clock_offset() if self._transport is not None else None

    def _shared_request(self, target: dict[str, str]) -> Presigned:
        """One signature serves all ranges of an object: the range's header is not covered by it."""
        now = time.monotonic()
        with self._lock:
            made, request = self._shared.get(target["Key"], (0.0, None))
        if request is None or now - made > _SHARED_SIGNATURE_SECONDS:
            request = self._signer.presign("get_object", **target)
            with self._lock:
                if len(self._shared) >= _MOST_SHARED:
                    self._shared.clear()
                self._shared[target["Key"]] = (now, request)
        return request

    def _exchange(self, request: Presigned, headers: dict[str, str], body: memoryview | None, **details: Any) -> Answer:
        try:
            transport = self.transport
        except AttributeError as error:
            # The library no longer tells how it reaches hosts.
            raise CannotPresignError(str(error)) from error
        try:
            answer = transport.exchange(request.method, request.url, {**request.headers, **headers}, body, **details)
        except UnknownProxyError as error:
            raise CannotPresignError(str(error)) from None
        if 200 <= answer.status < 300:
            return answer
        try:
            raise Refusal(answer.status, answer.text())
        finally:
            answer.end()

    def close(self) -> None:
        """Close the kept connections."""
        if self._transport is not None:
            self._transport.forget()
