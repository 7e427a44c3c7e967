"""How requests that carry bytes of objects are sent: presigned, on connections of our own, if the store takes them so;
else by s3fs, which can express everything.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..http.answer import filling
from ..http.cancellation import Cancellation
from ..http.routes import UnknownProxyError
from ..http.transport import Transport
from .answers import Refusal, is_form_refused
from .signing import CannotPresignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..http.answer import Answer
    from ..http.routes import Network
    from .control_plane import Control
    from .signing import Presigned, Signer

# A signature ends with the credentials that it was made with, and nobody knows how long they last.
_SHARED_SIGNATURE_SECONDS = 60
# As many objects as one process restores at once.
_MOST_SHARED = 64
# Parameters that travel as headers which need no signature.
_UNSIGNED = {"Range": "Range", "IfMatch": "If-Match"}
_PIECE = 1 << 20
LISTINGS = {"list_objects", "list_objects_v2"}


class Request(NamedTuple):
    """A request by its botocore method name, to be answered by a body of about `expected` bytes."""

    operation: str
    parameters: Mapping[str, Any]
    body: memoryview | None = None
    expected: int = 0
    cancellation: Cancellation | None = None


class Sender(Protocol):
    """Sends requests that carry bytes of objects. May be used from any thread."""

    def send(self, request: Request) -> Answer | S3fsAnswer:
        """The answer, which is a success: any other is raised in the form of botocore's errors. The caller ends the
        answer to get_object and to listings; others have ended. Raises CannotPresignError if only another sender can
        send this request.
        """
        ...

    def clock_offset(self) -> float | None:
        """As Store.clock_offset()."""
        return None

    def close(self) -> None:
        """Close the connections that the sender has made."""
        return


class PresignedSender(Sender):
    """Sends presigned requests on connections of our own: bytes go from and into the caller's buffers."""

    def __init__(self, signer: Signer, network: Callable[[], Network]) -> None:
        """`network` is called once, with the first request."""
        self.signer = signer
        self._network = network
        self._transport: Transport | None = None
        self._shared: dict[str, tuple[float, Presigned]] = {}
        self._lock = threading.Lock()

    def send(self, request: Request) -> Answer:
        operation, parameters, body, expected, cancellation = request
        if operation in LISTINGS:
            # XML can't hold every character of a key.
            parameters = {**parameters, "EncodingType": "url"}
        is_shared = operation == "get_object"
        sign = self._presign_read if is_shared else partial(self.signer.presign, operation)
        method, url, headers = sign(**parameters)
        unsigned = {header: parameters[name] for name, header in _UNSIGNED.items() if name in parameters}
        try:
            answer = self._connections().exchange(
                method, url, {**headers, **unsigned}, body, expected=expected, cancellation=cancellation
            )
        except UnknownProxyError as error:
            raise CannotPresignError(str(error)) from None
        is_success = 200 <= answer.status < 300
        if is_success and (is_shared or operation in LISTINGS):
            return answer
        try:
            text = answer.text()
        finally:
            answer.end()
        if not is_success:
            raise Refusal(answer.status, text)
        return answer

    def _presign_read(self, **parameters: Any) -> Presigned:
        """One signature serves all ranges of an object, as it does not cover the range's header."""
        now = time.monotonic()
        with self._lock:
            made, presigned = self._shared.get(parameters["Key"], (0.0, None))
        if presigned is None or now - made > _SHARED_SIGNATURE_SECONDS:
            signed = {name: value for name, value in parameters.items() if name not in _UNSIGNED}
            presigned = self.signer.presign("get_object", **signed)
            with self._lock:
                if len(self._shared) >= _MOST_SHARED:
                    self._shared.clear()
                self._shared[parameters["Key"]] = (now, presigned)
        return presigned

    def _connections(self) -> Transport:
        with self._lock:
            if self._transport is None:
                try:
                    self._transport = Transport(self._network())
                except AttributeError as error:
                    # The library no longer shows how it reaches hosts.
                    raise CannotPresignError(str(error)) from error
            return self._transport

    def clock_offset(self) -> float | None:
        return self._transport.clock_offset() if self._transport is not None else None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.forget()


class S3fsSender(Sender):
    """Sends by s3fs's client."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def send(self, request: Request) -> S3fsAnswer:
        content = {} if request.body is None else {"Body": bytes(request.body)}
        future = self._control.start(request.operation, **request.parameters, **content)
        with (request.cancellation or Cancellation()).calling(future.cancel):
            return S3fsAnswer(self._control, self._control.outcome(future, len(request.body or b"")))


class S3fsAnswer:
    """An answer of s3fs's client, to be used as http.answer.Answer."""

    def __init__(self, control: Control, answer: dict[str, Any]) -> None:
        self._control = control
        self.parsed = answer
        self._body = answer.get("Body")
        metadata = answer["ResponseMetadata"]
        self.status: int = metadata["HTTPStatusCode"]
        self.headers: dict[str, str] = metadata.get("HTTPHeaders", {})

    def pieces(self, into: memoryview) -> Iterator[int]:
        """Fill the buffer from the body, and release the connection; yields how many bytes came with each step."""
        try:
            yield from filling(into, self._read_into)
        finally:
            self.end()

    def _read_into(self, into: memoryview) -> int:
        reading = _read_piece(self._body, min(_PIECE, len(into)))
        piece: bytes = self._control.outcome(self._control.submit(reading), _PIECE)
        into[: len(piece)] = piece
        return len(piece)

    def end(self) -> None:
        """Release the connection."""
        if self._body is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._control.fs.loop.call_soon_threadsafe(self._body.close)


async def _read_piece(body: Any, size: int) -> bytes:
    """Up to `size` bytes: the connection hands over a few kilobytes at a time."""
    pieces = []
    while size > 0 and (piece := await body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


class FallingBackSender(Sender):
    """Sends by the first sender; if the store refuses the form of its requests before it took one, by the second from
    then on.
    """

    def __init__(self, first: Sender, second: Sender) -> None:
        self._first: Sender | None = first
        self._second = second
        # Once a request has passed, a refusal is about the object.
        self._first_works = False

    def send(self, request: Request) -> Answer | S3fsAnswer:
        first = self._first
        if first is None:
            return self._second.send(request)
        try:
            answer = first.send(request)
        except CannotPresignError:
            return self._second.send(request)
        except Exception as error:
            if self._first_works or not is_form_refused(error):
                raise
        else:
            self._first_works = True
            return answer
        answer = self._second.send(request)
        self._first = None
        first.close()
        return answer

    def clock_offset(self) -> float | None:
        return (self._first or self._second).clock_offset()

    def close(self) -> None:
        (self._first or self._second).close()
