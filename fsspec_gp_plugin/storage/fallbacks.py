"""What stores use that lack a request of their own for it: put through a writer, delete one by one or in parallel."""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AlreadyExists, NotFound, StorageError, Unreachable
from ..workers import Workers
from .error_translation import error_code, http_status, translating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .contract import ObjectInfo, PartWriter

_AT_ONCE = 8
_KEYS_A_TURN = 1000
# Seconds until a request is repeated that a busy store refused.
BUSY_PAUSE = 0.2
# Pauses between the attempts at one deletion. Then it fails, and its batch of a thousand is retried.
_BUSY_PAUSES = (BUSY_PAUSE, 0.5, 1.2)


def put_by_writer(writer: PartWriter, data: memoryview) -> ObjectInfo:
    """Write a whole object as the only part of a new writer. An error says if the failed upload is still there."""
    try:
        if data:
            writer.write(1, data)
        return writer.complete(len(data))
    except BaseException as error:
        try:
            writer.abort()
        except StorageError as left:
            if isinstance(error, StorageError):
                raise type(error)(f"{error}; the unfinished upload could not be removed: {left}") from error
        raise


@contextmanager
def creating(name: str) -> Iterator[None]:
    """Translate the refusal of a conditional write, inside, into AlreadyExists. `name` is for the message."""
    try:
        yield
    except StorageError as error:
        if http_status(error) == "412" or error_code(error) == "BlobAlreadyExists":
            raise AlreadyExists(f"can't create {name}: there is an object of that name") from error
        raise


def delete_each(keys: Iterable[str], delete: Callable[[str], object], name: Callable[[str], str]) -> list[str]:
    """Call `delete` for every key; return a line for each failure, with the object's `name`.

    A missing object is not a failure. Raises Unreachable at once, because every other key would wait as long again.
    """
    failed = []
    for key in keys:
        try:
            _delete_one(key, delete, name)
        except NotFound:
            pass
        except Unreachable:
            raise
        except StorageError as error:
            failed.append(str(error))
    return failed


def _delete_one(key: str, delete: Callable[[str], object], name: Callable[[str], str]) -> None:
    """Delete one object, a few times if the store is busy: the caller would start again with the first key, and hardly
    get through a thousand of them.
    """
    for pause in (*_BUSY_PAUSES, None):
        try:
            with translating(f"can't delete {name(key)}"):
                delete(key)
        except Unreachable as error:
            if pause is None or not error.http_status:
                raise
            time.sleep(pause)
        else:
            return


def delete_side_by_side(
    keys: Iterable[str], delete: Callable[[str], object], name: Callable[[str], str], at_once: int = _AT_ONCE
) -> list[str]:
    """As delete_each(), so many at a time, or fewer if the system has no more threads."""
    remaining = iter(keys)
    failed: list[str] = []
    pool = Workers(at_once, "delete")
    try:
        while batch := list(islice(remaining, _KEYS_A_TURN)):
            shares = [batch[at::at_once] for at in range(min(at_once, len(batch)))]
            run = map if len(shares) == 1 else pool.map
            for lines in run(lambda share: delete_each(share, delete, name), shares):
                failed += lines
    except BaseException as error:
        # A retry must begin after all have ended; a signal must not wait.
        pool.shutdown(wait=isinstance(error, StorageError), cancel_futures=True)
        raise
    pool.shutdown()
    return failed


def raise_failures(failed: list[str]) -> None:
    """Raise one StorageError for the failures that delete_each() returned, if there are any."""
    if failed:
        raise StorageError(failed[0] + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""))
