"""WebDAV: a file is one request, sent in chunks while data comes. Sent data can't be sent again, so a connection that
breaks after the first part ends the upload.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webdav4.client import ResourceNotFound
from webdav4.fsspec import WebdavFileSystem

from ....errors import ConfigError, StorageError
from ...contract import TransportSecurity
from ..tree import TreeDialect, require_kinds, require_known
from .client import Webdav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...contract import ObjectInfo
    from ..output import Output
    from .client import ChunkedUpload

# Options that webdav4 passes to its HTTP client.
_OF_CLIENT = (
    "headers", "cookies", "verify", "cert", "proxies", "proxy", "timeout", "max_redirects", "trust_env", "retry",
)  # fmt: skip


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> WebdavDialect:
    """The dialect for a URL. Raises ConfigError where URL and options can't work. Does not connect."""
    del url  # a path below base_url
    require_known("webdav", options, WebdavFileSystem, "chunk_size", "http2", "limits", *_OF_CLIENT)
    require_kinds("webdav", options, (str,), "base_url", "proxy")
    require_kinds("webdav", options, (list,), "auth")
    require_kinds("webdav", options, (bool, str), "verify")
    require_kinds("webdav", options, (int, float), "timeout")
    base = options.get("base_url")
    if not base or urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
        raise ConfigError("storage_options: webdav:// needs base_url, such as https://HOST/remote.php/dav/files/USER")
    given: dict[str, Any] = {"retry": False, "timeout": timeout, **options}
    if isinstance(given.get("auth"), list):  # YAML knows no tuples
        if len(given["auth"]) != 2 or not all(isinstance(word, str) for word in given["auth"]):
            raise ConfigError("storage_options: auth of webdav:// must be a list of user and password")
        given["auth"] = tuple(given["auth"])
    for name in _FOR_FSSPEC:
        given.pop(name, None)
    given["skip_instance_cache"] = True
    try:
        if isinstance(given.get("verify"), str):
            given["verify"] = _trusting(given["verify"])
        WebdavFileSystem(**given).client.http.close()
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f"storage_options don't fit webdav://: {error}") from None
    dialect = WebdavDialect(lambda: Webdav(WebdavFileSystem(**given)), timeout, base.rstrip("/") + "/")
    dialect.transport_security = TransportSecurity.to(base, is_verified=given.get("verify", True) is not False)
    return dialect


def _trusting(authorities: str) -> ssl.SSLContext:
    """A context for httpx instead of a path, with which httpx would take no `cert`."""
    if os.path.isdir(authorities):
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


# Seconds that a broken-off request may keep its connection.
_BROKEN_SECONDS = 0.5
# webdav4 passes these to the HTTP client, which does not know them.
_FOR_FSSPEC = ("skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous")


class WebdavDialect(TreeDialect):
    """Files on a WebDAV server.

    It can't create: servers check whether a name is free before they move a file there, not while they move it.
    """

    resumes = True  # while only the first part was sent
    positional = True
    may_appear_later = True

    def create(self, fs: Webdav, path: str) -> Output:
        fs.put(path, memoryview(b""))
        return _Output(fs, path)

    def resume(self, fs: Webdav, path: str) -> Output:
        return _Output(fs, path)

    def size(self, fs: Webdav, path: str) -> int:
        return self.size_and_version(fs, path)[0]

    def size_and_version(self, fs: Webdav, path: str) -> tuple[int, str | None]:
        with self.missing(path):
            size_and_etag = fs.stat(path)
        if size_and_etag is None:
            raise FileNotFoundError(f"{path} is not a file")
        return size_and_etag

    def read_version(self, fs: Webdav, path: str, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        yield from fs.read(path, info, start, into)

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, ResourceNotFound)


class _Output:
    """One request, begun with the first part."""

    def __init__(self, fs: Webdav, path: str) -> None:
        self._fs = fs
        self._path = path
        self._upload: ChunkedUpload | None = None

    def write(self, data: memoryview, offset: int) -> None:
        if self._upload is None:
            if offset:
                raise StorageError("WebDAV takes a file in one request, which can't go on after its connection broke")
            self._upload = self._fs.upload(self._path)
        self._upload.write(data)

    def close(self) -> None:
        if self._upload is not None:
            self._upload.end()

    def cancel(self) -> None:
        if self._upload is not None:
            self._upload.abort()

    def release(self) -> bool:
        if self._upload is not None:
            self._upload.abort(wait=_BROKEN_SECONDS)
        return True
