"""Threads that send, fetch and delete: as many as asked for, or as many as the system gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Workers(ThreadPoolExecutor):
    """A pool that goes on with the threads that it has where it gets no more; RuntimeError where it has none."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
