"""An upload in one request to a server that takes no more data."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.storage.files.webdav.client import ChunkedUpload

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_who_gives_up_waits_for_no_request_that_stands_still_and_the_writer_neither() -> None:
    stands, goes_on = threading.Event(), threading.Event()

    def request(body: Iterator[bytes]) -> None:
        next(body)
        stands.set()
        goes_on.wait(60)
        next(body)

    upload = ChunkedUpload(request)
    errors: list[StorageError] = []

    def write() -> None:
        try:
            upload.write(memoryview(bytes(3 << 20)))
        except StorageError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for work in (write, upload.abort)]
    threads[0].start()
    assert stands.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert [str(error) for error in errors] == ["aborted"]
    goes_on.set()
    with pytest.raises(StorageError, match="aborted"):
        upload.end()
