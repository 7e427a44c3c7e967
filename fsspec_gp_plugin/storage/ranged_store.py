"""What the object stores share: reading by HTTP requests for ranges."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from ..errors import StorageError
from .contract import ObjectInfo, Store
from .error_translation import http_status, translating
from .http.answer import require_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class RangedStore(Store):
    """A store whose read() and fetch() are requests for a range."""

    # The header of a response that holds the version of the object.
    tag = "etag"

    @abstractmethod
    def name(self, key: str) -> str:
        """Return the object's URL, for messages."""

    @abstractmethod
    def finding(self, key: str) -> AbstractContextManager[None]:
        """Translate errors of a request that looks for an object."""

    @abstractmethod
    def _get_range(self, key: str, start: int, end: int, version: str | None) -> Any:
        """Return the response to a request for bytes `start` to before `end`; the caller must end() it."""

    @abstractmethod
    def _describe(self, key: str, response: Any) -> ObjectInfo:
        """Return the object that the response to a request for a range describes."""

    def _require_own(self, key: str, response: Any) -> None:
        """Raise an error if the response is not the store's."""

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if not into:
            return
        end = start + len(into)
        with translating(f"can't read {self.name(info.key)}"):
            response = self._get_range(info.key, start, end, info.version)
            try:
                self._require_own(info.key, response)
                require_range(info.key, response.headers, (start, end), info.size, info.version, tag=self.tag)
                yield from response.pieces(into)
            finally:
                response.end()

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        try:
            with self.finding(key):
                response = self._get_range(key, 0, len(into), None)
        except StorageError as error:
            if http_status(error) != "416":
                raise
            return self.stat(key), iter(())  # the object is empty
        try:
            with translating(f"can't read {self.name(key)}"):
                info = self._describe(key, response)
                first = into[: info.size]
                require_range(key, response.headers, (0, len(first)), info.size, info.version, tag=self.tag)
        except BaseException:
            response.end()
            raise
        if not first:
            response.end()
            return info, iter(())
        return info, self._read_first(info, response, first)

    def _read_first(self, info: ObjectInfo, response: Any, into: memoryview) -> Iterator[int]:
        with translating(f"can't read {self.name(info.key)}"):
            yield from response.pieces(into)
