"""The same work on many things, a few at a time."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ..errors import Interrupted, LocalFileError, StorageError, Unreachable
from ..workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Item = TypeVar("_Item")
# After a signal the process has two seconds; what runs may come to its end in this many of them.
_SECONDS_AFTER_SIGNAL = 0.8
_Result = TypeVar("_Result")


def each(
    work: Callable[[_Item], _Result], wanted: Iterator[_Item], at_once: int
) -> Iterator[tuple[_Item, _Result | StorageError | LocalFileError]]:
    """Do the work for all of them; yields each with its result, or with what went wrong with it alone.

    Any other error ends it, also Unreachable, as the next one would wait as long. Takes from `wanted` as it goes.
    """
    pool = Workers(at_once)
    running: dict[Future[_Result], _Item] = {}
    try:
        while True:
            for one in islice(wanted, 2 * at_once - len(running)):
                running[pool.submit(work, one)] = one
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                error = done.exception()
                if error is None:
                    yield running.pop(done), done.result()
                elif isinstance(error, (StorageError, LocalFileError)) and not isinstance(error, Unreachable):
                    yield running.pop(done), error
                else:
                    raise error
    finally:
        # Not awaited: one may wait for a store that hangs.
        pool.shutdown(wait=False, cancel_futures=True)


def side_by_side(*works: Callable[[], _Result]) -> list[_Result]:
    """Do several things that wait for a store at once, and wait for all of them; returns their results. Raises the
    first error, in the order in which they are given.
    """
    pool = Workers(len(works))
    running = [pool.submit(work) for work in works]
    try:
        wait(running)
        return [one.result() for one in running]
    except Interrupted:
        wait(running, _SECONDS_AFTER_SIGNAL)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
