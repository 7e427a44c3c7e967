# ruff: noqa: SLF001 - data_proxy is applied by a method of fsspec's own
"""WebHDFS: the name node is asked by the session of fsspec's filesystem, with its authentication; the bytes go to and
come from the data nodes by our own connections.

fsspec's requests have no limit of time, and it doesn't look at what a data node answers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ....errors import Unreachable
from ...http.cancellation import Cancellation
from ...http.routes import Network
from ...http.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...http.answer import Answer

_LONGEST_CONNECT = 10.0
_LARGEST_MESSAGE = 64 << 10
# A directory comes in one piece: of three million files.
_LARGEST_LISTING = 1 << 30
_BINARY = {"Content-Type": "application/octet-stream"}


class HdfsError(Exception):
    """What a node answered instead of doing as it was asked."""

    def __init__(self, status: int, name: str, message: str) -> None:
        """`name` is that of the remote exception, or ""."""
        super().__init__(message)
        self.status_code = status
        self.error_code = name or None


class WebHdfs:
    """Files of an HDFS. For one thread at a time, except for cancel() and close()."""

    def __init__(self, fs: Any, timeout: float, creation: dict[str, str]) -> None:
        """`fs` is fsspec's filesystem, `creation` what files are made with, such as their replication."""
        self._fs = fs
        self._timeout = timeout
        self._creation = creation
        self._transport = Transport(self._network())
        self._cancellation = Cancellation()
        # The file whose size was asked for last, and what it was.
        self.seen: tuple[str, int] | None = None

    def size(self, path: str) -> int | None:
        """Bytes of a file that nobody writes to, None of a directory."""
        status = _told(self._ask("GET", "GETFILESTATUS", path), "FileStatus")
        if status["type"] == "DIRECTORY":
            return None
        size = int(status["length"])
        self.seen = (path, size)
        return size

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        statuses = _told(self._ask("GET", "LISTSTATUS", path), "FileStatuses", "FileStatus")
        names = ((one["pathSuffix"], one) for one in statuses)  # "" where the path is that of a file
        return [(name, None if one["type"] == "DIRECTORY" else int(one["length"])) for name, one in names if name]

    def make_directories(self, path: str) -> None:
        if not _told(self._ask("PUT", "MKDIRS", path), "boolean"):
            raise HdfsError(200, "ParentNotDirectoryException", f"{path} can't be made")

    def create(self, path: str) -> None:
        """Make an empty file, whatever was there; its directories too."""
        self._send("PUT", "CREATE", path, memoryview(b""), overwrite="true", **self._creation)

    def append(self, path: str, data: memoryview, offset: int) -> None:
        """Add to a file, when nobody else writes to it: then its size is known again, too."""
        del offset  # the end
        self._send("POST", "APPEND", path, data)

    def rename(self, source: str, target: str) -> None:
        answer = self._ask("PUT", "RENAME", source, destination=target, renameoptions="OVERWRITE")
        body = _read(answer, _LARGEST_MESSAGE)
        if body and not _in_json(body, "boolean"):
            # HttpFS knows no options: there it must go first.
            self._delete(target)
            if not _told(self._ask("PUT", "RENAME", source, destination=target), "boolean"):
                raise HdfsError(200, "", f"{source} can't be renamed")

    def rename_if_free(self, source: str, target: str) -> bool:
        """Give a file another name unless something has it; tells whether it was free."""
        if _told(self._ask("PUT", "RENAME", source, destination=target), "boolean"):
            return True
        # It says no more than that it did nothing.
        try:
            self.size(target)
        except HdfsError as error:
            raise HdfsError(200, "", f"{source} can't be renamed") from error
        return False

    def remove(self, path: str) -> None:
        """Remove a file. Raises FileNotFoundError where there is none."""
        if not self._delete(path):
            raise FileNotFoundError(path)

    def remove_directory(self, path: str) -> None:
        self._delete(path)

    def _delete(self, path: str) -> bool:
        return bool(_told(self._ask("DELETE", "DELETE", path, recursive="false"), "boolean"))

    def cancel(self) -> None:
        self._cancellation.cancel()

    @property
    def cancelled(self) -> bool:
        return self._cancellation.cancelled

    def close(self) -> None:
        self.cancel()
        self._transport.forget()
        self._fs.session.close()

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        answer = self._ask("GET", "OPEN", path, offset=str(start), length=str(len(into)))
        filled = 0
        try:
            location = answer.headers.get("Location")
            pieces = self._from_data_node(location, into) if location else _from_answer(answer, into)
            for count in pieces:
                filled += count
                yield count
        finally:
            answer.close()
        if filled < len(into):
            raise Unreachable(f"can't read {path}: {filled} bytes came of {len(into)} at {start}")

    def _from_data_node(self, location: str, into: memoryview) -> Iterator[int]:
        url = self._fs._apply_proxy(location)
        answer = self._transport.exchange(
            "GET", url, self._headers(url), expected=len(into), cancellation=self._cancellation
        )
        try:
            _require_success(answer)
            filled = 0
            while filled < len(into) and (count := answer.read_into(into[filled:])):
                filled += count
                yield count
        finally:
            answer.end()

    def _send(self, method: str, operation: str, path: str, data: memoryview, **parameters: str) -> None:
        asked = self._ask(method, operation, path, **parameters)
        _read(asked, _LARGEST_MESSAGE)  # so that its connection is free
        location = asked.headers.get("Location")
        if not location:
            raise HdfsError(asked.status_code, "", "the name node names no data node")
        url = self._fs._apply_proxy(location)
        answer = self._transport.exchange(
            method, url, {**_BINARY, **self._headers(url)}, data, cancellation=self._cancellation
        )
        try:
            _require_success(answer)
        finally:
            answer.end()

    def _ask(self, method: str, operation: str, path: str, **parameters: str) -> Any:
        """The name node's answer, which may be to go elsewhere."""
        fs = self._fs
        answer = fs.session.request(
            method,
            fs._apply_proxy(fs.url + quote(path, safe="/=")),
            params={**parameters, **fs.pars, "op": operation},
            allow_redirects=False,
            stream=True,
            timeout=(min(_LONGEST_CONNECT, self._timeout), self._timeout),
        )
        if answer.status_code >= 400:
            raise _remote(answer.status_code, _read(answer, _LARGEST_MESSAGE).decode(errors="replace"))
        return answer

    def _headers(self, url: str) -> dict[str, str]:
        """A gateway such as HttpFS or Knox sends to itself, and wants to know who it is; a data node has its token."""
        import requests

        fs = self._fs
        if urlsplit(url).netloc != urlsplit(fs._apply_proxy(fs.url)).netloc:
            return {}
        prepared = fs.session.prepare_request(requests.Request("GET", url))
        return {name: prepared.headers[name] for name in ("Cookie", "Authorization") if name in prepared.headers}

    def _network(self) -> Network:
        import certifi
        import requests

        session = self._fs.session
        settings = session.merge_environment_settings(self._fs.url, {}, None, None, None)

        def proxy_of(url: str) -> str | None:
            found: str | None = requests.utils.select_proxy(
                url, session.merge_environment_settings(url, {}, None, None, None)["proxies"]
            )
            return found

        return Network(
            self._timeout,
            proxy_of,
            verify=settings["verify"],
            certificates=certifi.where(),
            client_certificate=settings["cert"],
        )


def _from_answer(answer: Any, into: memoryview) -> Iterator[int]:
    filled = 0
    while filled < len(into) and (piece := answer.raw.read(min(len(into) - filled, 256 << 10))):
        into[filled : filled + len(piece)] = piece
        filled += len(piece)
        yield len(piece)


def _require_success(answer: Answer) -> None:
    if answer.status >= 300:
        raise _remote(answer.status, answer.text())


def _read(answer: Any, most: int) -> bytes:
    """The body of an answer; of a longer one than that its beginning. requests would look through all of it for what
    encoding it may have, which takes minutes for what has none.
    """
    body = bytearray()
    for piece in answer.iter_content(1 << 16):
        body += piece
        if len(body) > most:
            answer.close()
            break
    return bytes(body[:most])


def _told(answer: Any, *names: str) -> Any:
    """What stands below these names in the answer's JSON."""
    return _in_json(_read(answer, _LARGEST_LISTING), *names)


def _in_json(body: bytes, *names: str) -> Any:
    try:
        found = json.loads(body)
        for name in names:
            found = found[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreachable("the answer is not the name node's; check `host`, `port` and the proxy") from None
    return found


def _remote(status: int, text: str) -> HdfsError:
    try:
        said = json.loads(text)["RemoteException"]
        return HdfsError(status, said["exception"], said["message"].splitlines()[0])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return HdfsError(status, "", f"HTTP status {status}")
