"""Copies an object from one store to another, by a pipe between a download and an upload."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ..errors import ReaderGone, StorageError
from .download import Download, DownloadSettings
from .upload import Upload, UploadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.contract import ObjectInfo, Store


class Relay:
    """One object. run() does it all; abort() may come from any thread."""

    def __init__(
        self,
        source: Store,
        target: Store,
        key: str,
        settings: tuple[DownloadSettings, UploadSettings],
        report: Callable[[str], None],
    ) -> None:
        """`report` gets a line of text about what could not be removed after a failure."""
        self._source = source
        self._target = target
        self._key = key
        self._reading, writing = settings
        self._upload = Upload(target, key, writing, report)

    def run(self, expected: ObjectInfo | None) -> ObjectInfo:
        """Copy it, compared on its way with what is `expected`; nothing becomes visible where that differs."""
        read, write = os.pipe2(os.O_CLOEXEC)
        size: list[int] = []
        failed: list[BaseException] = []

        def fetch() -> None:
            try:
                size.append(Download(self._source, write, self._reading).write_whole(self._key, expected).size)
            except BaseException as error:  # noqa: BLE001 - raised by run()
                failed.append(error)
                # Before the pipe ends, which would else look like the end of the object.
                self.abort(error)
            finally:
                os.close(write)

        thread = threading.Thread(target=fetch, daemon=True)
        thread.start()
        try:
            sent = self._upload.run(read)
        except Exception as error:
            # What it stumbled over may be its own abortion.
            if failed and not isinstance(failed[0], ReaderGone):
                raise failed[0] from error
            raise
        finally:
            os.close(read)  # the download ends, if it has not
        thread.join()
        if size != [sent.size]:
            self._target.delete([self._key])
            raise StorageError(
                f"{self._key}: {sent.size} bytes were copied of {size[0] if size else 'others'}; removed"
            )
        return sent

    def abort(self, error: BaseException) -> None:
        """Abort the copy within a time limit; nothing of it stays."""
        self._upload.abort(error)
