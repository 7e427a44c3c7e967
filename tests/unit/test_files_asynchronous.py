"""Calls of asynchronous filesystems have a time limit, too, although all share one thread of fsspec."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from fsspec.asyn import AsyncFileSystem, get_loop

from fsspec_gp_plugin.storage.files.bounded import Bounded


class Hanging(AsyncFileSystem):  # type: ignore[misc]
    """Its info() never returns."""

    protocol = "hanging"

    async def _info(self, path: str, **options: Any) -> None:
        del path, options
        await asyncio.sleep(60)


async def work() -> None:
    """As the transfers of other filesystems do: part of the time."""
    while True:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0.05)


def test_a_call_that_hangs_does_not_wait_for_as_long_as_other_filesystems_work() -> None:
    working = asyncio.run_coroutine_threadsafe(work(), get_loop())
    fs = Bounded(lambda: Hanging(skip_instance_cache=True), 1.0, None)
    started = time.monotonic()
    try:
        with pytest.raises(TimeoutError, match="info"):
            fs.call("info", "file")
    finally:
        working.cancel()
    assert time.monotonic() - started < 7  # ten times the limit otherwise
