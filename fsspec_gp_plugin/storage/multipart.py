"""An upload in parts that may be sent at once, as S3 has it and Google's XML API; they differ in the requests."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from ..checksum import combined, crc32c
from ..errors import StorageError, Unreachable
from .contract import Capabilities, ObjectInfo, PartWriter
from .errors import error_code, http_status, translated, translating, was_never_sent
from .http.cancellation import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

# What both allow.
MULTIPART = Capabilities(
    parallel_parts=True,
    parallel_reads=True,
    creates=True,
    min_part_size=5 << 20,
    max_part_size=5 << 30,
    max_parts=10_000,
)
# What a store says of an upload that was completed or aborted.
UPLOAD_ENDED = ("NoSuchUpload", "404")


class Part(NamedTuple):
    """A part that the store has: its ETag, its bytes, and the CRC-32C that was sent with it, or None."""

    etag: str
    size: int
    crc: int | None


class Begun(NamedTuple):
    """An upload that the store knows. `crc`: it checks the parts' CRC-32C, `full`: that of the whole object, too."""

    upload_id: str
    crc: bool
    full: bool


class Listed(NamedTuple):
    """An upload in a bucket: its whole key, its id, and when it was begun, in seconds since 1970."""

    key: str
    upload_id: str
    started: float | None


def abort_each(found: list[Listed], abort: Callable[[Listed], object], place: str) -> int:
    """Call `abort` for all of them; returns how many there were. `place` is where their keys begin, for messages.

    One that can't be aborted is an error, after all were tried.
    """
    failed: StorageError | None = None
    for one in found:
        try:
            with translating(f"can't abort an upload of {place}{one.key}"):
                abort(one)
        except StorageError as error:
            # Somebody else has ended it meanwhile.
            if error_code(error) not in UPLOAD_ENDED:
                failed = error
    if failed is not None:
        raise failed
    return len(found)


class MultipartWriter(PartWriter, ABC):
    """A PartWriter of one such upload."""

    def __init__(self, key: str, name: str) -> None:
        """`name` is the object's in messages. Touches nothing yet."""
        self._key = key
        self._name = name
        self._begun: Begun | None = None
        # An upload that was asked for and whose answer got lost may be there without a name that we know.
        self._lost_an_answer = False
        self._parts: dict[int, Part] = {}
        # That of all parts, where the store checks it.
        self._crc: int | None = None
        self._done = self._compared = self._aborted = self._completing = self._removed = False
        # A marker for each attempt at a part that was not answered, so it may still arrive.
        self._unanswered: set[object] = set()
        self._cancellation = Cancellation()
        self._beginning = threading.Lock()

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """As translating(), around requests that write the object."""

    @abstractmethod
    def _create(self) -> Begun:
        """Ask for an upload."""

    @abstractmethod
    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        """Send a part; returns its ETag, and whether the store has compared its checksum where one was sent."""

    def _give_up_checksums(self, begun: Begun) -> bool:
        """Whether to begin anew without checksums that the store takes and does not look at: no part counts yet."""
        del begun
        return False

    @abstractmethod
    def _finish(self, begun: Begun, size: int, *, again: bool) -> None:
        """Make the object visible. `again`: an earlier request, whose answer got lost, may have done it."""

    @abstractmethod
    def _compare(self, written: ObjectInfo) -> ObjectInfo:
        """Compare what the store holds with what was sent; an object that differs is deleted."""

    @abstractmethod
    def _write_nothing(self) -> ObjectInfo:
        """Store an object of no bytes: there is no upload without parts."""

    @abstractmethod
    def _abort(self, upload_id: str) -> None:
        """Ask once that the upload be forgotten."""

    @abstractmethod
    def _abort_all(self) -> None:
        """Abort all uploads of the key."""

    @abstractmethod
    def _remove_completed(self) -> None:
        """Of an upload that may have made its object visible take that back, or raise what has to be told."""

    def write(self, number: int, data: memoryview) -> None:
        """As PartWriter.write()."""
        with self._writing():
            while not self._has_written(self._begin(), number, data):
                pass

    def _has_written(self, begun: Begun, number: int, data: memoryview) -> bool:
        """Send a part. False where another upload has taken the place of that one, so that it must be sent again."""
        crc = crc32c(data) if begun.crc else None
        asked = object()
        self._unanswered.add(asked)
        try:
            etag, is_checked = self._send(begun, number, data, crc)
        except Exception:
            with self._beginning:  # another part may be aborting this upload, to begin anew without checksums
                if self._begun is begun:
                    raise
            return False
        if not etag:
            raise Unreachable("the answer to a part has no ETag, so it is not the store's")
        self._unanswered.discard(asked)
        with self._beginning:
            if self._begun is begun and not is_checked and not self._parts and self._give_up_checksums(begun):
                self._begun = None
                # A part that is still on its way there may make that one anew.
                self._lost_an_answer = self._lost_an_answer or bool(self._unanswered)
            if self._begun is not begun:
                return False
            self._parts[number] = Part(etag, len(data), crc)
            return True

    def complete(self, size: int) -> ObjectInfo:
        """As PartWriter.complete()."""
        if not self._parts:
            self._check()
            return self._write_nothing()
        if not self._done:
            with self._writing():
                self._check()
                self._complete(size)
            self._done = True
            self._remove_lost()
        try:
            info = self._compare(ObjectInfo(self._key, size, None, self._crc))
        except Unreachable:
            raise  # not compared
        except StorageError:
            self._compared = True  # and what came of it is told
            raise
        self._compared = True
        return info

    def _complete(self, size: int) -> None:
        begun = self._begin()
        if begun.full:
            crc = 0
            for _, part in sorted(self._parts.items()):
                crc = combined(crc, part.crc or 0, part.size)
            self._crc = crc
        again, self._completing = self._completing, True
        self._finish(begun, size, again=again)

    def abort(self) -> None:
        """As PartWriter.abort()."""
        if self._done:
            if not self._compared:
                self._remove_completed()
            return
        self._aborted = True
        self._cancellation.cancel()
        # Whoever is just creating the upload is waited for, or it would stay behind.
        with self._beginning:
            begun = self._begun
        if begun is not None:
            with translating(f"can't abort the upload of {self._name}"):
                self._abort_until_gone(begun.upload_id)
        self._remove_lost()

    def _abort_until_gone(self, upload_id: str) -> None:
        """A part that was on its way may arrive after an abort: repeat it until the store knows no upload."""
        for _ in range(3):
            try:
                self._abort(upload_id)
                self._removed = True
            except Exception as error:
                if self._removed and not isinstance(translated(error, ""), Unreachable):
                    return  # whatever it says of what is gone
                if error_code(error) not in UPLOAD_ENDED:
                    raise
                if self._completing:
                    self._remove_completed()
                return
            if not self._unanswered:
                return
            time.sleep(0.05)

    def _remove_lost(self) -> None:
        if self._lost_an_answer:
            try:
                self._abort_all()
            except Unreachable:
                if not self._done:
                    raise  # and be called again
            except StorageError:
                pass  # credentials that may not list uploads, or may not abort

    def _begin(self) -> Begun:
        """The upload; the first thread that needs it creates it."""
        self._check()
        with self._beginning:
            self._check()
            if self._begun is None:
                try:
                    with translating(f"can't begin the upload of {self._name}"):
                        self._begun = self._create()
                except BaseException as error:  # a signal, too
                    # An answer of the store that refuses it is clear; all else may have begun an upload.
                    if not http_status(error).startswith("4") and not was_never_sent(error):
                        self._lost_an_answer = True
                    raise
            return self._begun

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
