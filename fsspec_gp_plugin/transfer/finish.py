"""How an upload ends within a time limit: by the request that makes its object visible, or by an abort."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.contract import ObjectInfo
    from .descriptor_io import Alarm, Wakeup

# After a signal the process has two seconds: so much of them for the request that makes the object visible, and so much
# for an abort.
_SETTLE_SECONDS = 0.7
_ABORT_AFTER_SIGNAL_SECONDS = 0.9
_ABORT_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_at_work: set[threading.Thread] = set()

_T = TypeVar("_T")


def abort_within_limit(abort: Callable[[], None], error: BaseException) -> tuple[str, Interrupted | None]:
    """Call `abort` after an error and wait for a limited time: an unreachable store must not keep us from ending.

    Returns why it failed, or "", and the signal that came meanwhile.
    """
    failure = ["the store did not answer in time"]
    # Not Thread.join(): one that a signal interrupts takes the thread for ended, before Python 3.13.
    ended = threading.Event()

    def work() -> None:
        try:
            abort()
            failure[:] = [""]
        except Exception as problem:  # noqa: BLE001 - reported by the caller
            failure[:] = [str(problem) or type(problem).__name__]
        finally:
            ended.set()

    run_in_background(work)
    interrupted = None
    try:
        ended.wait(_ABORT_AFTER_SIGNAL_SECONDS if isinstance(error, Interrupted) else _ABORT_SECONDS)
    except Interrupted as signalled:
        interrupted = signalled
        ended.wait(_ABORT_AFTER_SIGNAL_SECONDS)
    return failure[0], interrupted


def run_interruptibly(alarm: Alarm | None, work: Callable[[], _T]) -> _T:
    """The result of work that waits for a store. An alarm ends the wait at once; the work goes on in a thread of its
    own until its own limits end it. Without an alarm a signal ends the work.
    """
    if alarm is None:
        return work()
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(error)

    run_in_background(run)
    while True:
        try:
            return outcome.result(_LOOK_SECONDS)
        except NotDone:
            if outcome.done():
                raise  # the work's own
            alarm.check()


def run_in_background(work: Callable[[], None]) -> None:
    """Run something in another thread, or in this one where the system gives no more of them."""

    def run() -> None:
        try:
            work()
        finally:
            _at_work.discard(thread)

    thread = threading.Thread(target=run, daemon=True)
    _at_work.add(thread)
    try:
        thread.start()
    except RuntimeError:
        run()


def wait_for_background_work(deadline: float) -> None:
    """Wait until the work of `run_in_background` has ended, until `deadline` on the monotonic clock at the most, also
    work for which its caller no longer waits.
    """
    while _at_work and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def wait_for_outcome(future: Future[Any], wakeup: Wakeup) -> ObjectInfo:
    """Wait for the request that makes the object visible.

    A signal comes too late to stop this request: its outcome decides, if it comes soon enough.
    """
    try:
        info: ObjectInfo = wakeup.wait_for(future)
    except Interrupted as interrupted:
        try:
            info = future.result(_SETTLE_SECONDS)
        except NotDone:
            raise interrupted from None
    return info
