"""Does the same work on many things, a few at a time, and divides it among hosts."""

from __future__ import annotations

import re
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ..errors import Interrupted, LocalFileError, StorageError, Unreachable, UsageError
from ..workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# After a signal the process has two seconds; running work may take this many of them to end.
_SECONDS_AFTER_SIGNAL = 0.8


def run_each(
    work: Callable[[_Item], _Result], items: Iterator[_Item], at_once: int
) -> Iterator[tuple[_Item, _Result | StorageError | LocalFileError]]:
    """Do the work for each item, and yield the item with its result, or with the error that concerns it alone. Takes
    from `items` as it goes on.

    Raises any other error, also Unreachable, as the next item would wait as long.
    """
    pool = Workers(at_once)
    running: dict[Future[_Result], _Item] = {}
    try:
        while True:
            for one in islice(items, 2 * at_once - len(running)):
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
        # Without waiting: one may wait for a store that hangs.
        pool.shutdown(wait=False, cancel_futures=True)


def run_all(work: Callable[[_Item], _Result], items: Iterator[_Item], at_once: int) -> Iterator[tuple[_Item, _Result]]:
    """As run_each(), but raise the first error, without waiting for the others."""
    for item, result in run_each(work, items, at_once):
        if isinstance(result, (StorageError, LocalFileError)):
            raise result
        yield item, result


def map_all(work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int) -> dict[_Item, _Result]:
    """Do the work for each item, which can be hashed, and return the results by item, in the order of the items. Raises
    the first error, without waiting for the others.
    """
    wanted = list(items)
    found = dict(run_all(work, iter(wanted), at_once))
    return {item: found[item] for item in wanted}


def run_together(*works: Callable[[], _Result]) -> list[_Result]:
    """Call several functions that wait for a store at the same time, wait for all, and return their results. Raises the
    first error, in the order of the functions.
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


def parse_shard(text: str) -> tuple[int, int]:
    """Part I, from 0, of N parts of the work on one backup, from `I/N`. Raises UsageError.

    >>> parse_shard("0/4")
    (0, 4)
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(f"{text!r} is not a shard: expected I/N with I from 0 to N - 1, such as 0/4")
    return int(match[1]), int(match[2])
