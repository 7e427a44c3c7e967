"""A thread pool that goes on with fewer threads if the system has no more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Workers(ThreadPoolExecutor):
    """A thread pool that goes on with the threads that it has. Raises RuntimeError if it has none."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
