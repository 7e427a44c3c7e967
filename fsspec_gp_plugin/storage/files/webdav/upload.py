"""One upload whose size is not known before its end: a single PUT in chunks.

WebDAV has no parts, so what was sent can't be sent again: a connection that breaks ends the upload.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....errors import StorageError
from ...progress import note_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 20


class ChunkedUpload:
    """Feeds a request, made by a thread of its own, with data as it is handed over."""

    def __init__(self, request: Callable[[Iterator[bytes]], Any]) -> None:
        """`request` makes the request with a body that is read to its end, and raises when it fails."""
        self._pieces: queue.Queue[memoryview | None] = queue.Queue(maxsize=1)
        self._taken = threading.Semaphore(0)
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._given_up = False
        self._request = request
        self._thread = threading.Thread(target=self._work, name="webdav-upload", daemon=True)
        self._thread.start()

    def write(self, data: memoryview) -> None:
        """Hand data over; returns when it is sent, or raises the request's error."""
        self._raise()
        for at in range(0, len(data), _PIECE):
            self._pieces.put(data[at : at + _PIECE])
            # The piece before the next one is asked for may still be read from the caller's buffer.
            self._taken.acquire()
            self._raise()
            note_sent(min(_PIECE, len(data) - at))

    def end(self) -> None:
        """The data is complete; returns when the server has it, or raises the request's error."""
        self._raise()
        self._pieces.put(None)
        self._ended.wait()
        self._raise(ended=True)

    def give_up(self, wait: float = 0.0) -> None:
        """Break the request off: it fails when it asks for more. Waits for that for `wait` seconds at the most."""
        self._given_up = True
        if not self._ended.is_set():
            with suppress(queue.Full):  # then it finds out by what it gets next
                self._pieces.put_nowait(None)
            self._taken.release()  # write() need not wait for a request that stands still
        if wait:
            self._ended.wait(wait)

    def _raise(self, *, ended: bool = False) -> None:
        if self._error is not None:
            raise self._error
        if self._given_up:
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
        while (piece := self._pieces.get()) is not None and not self._given_up:
            data = bytes(piece)
            self._taken.release()
            yield data
        if self._given_up:
            raise StorageError("aborted")
