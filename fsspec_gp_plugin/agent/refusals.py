"""Why calls are not served: counted by reason, in memory that the agent's processes share."""

from __future__ import annotations

import mmap

FULL = "the agent is full"
DESCRIPTORS = "the agent has no descriptors left"
ENDS = "the agent ends"
VERSION = "it is of another version"
HOOK = "a stand-in serves no hooks"
UNUSUAL = "its umask or directory is unusual"
PLACE = "it has another mount, network or user namespace, or another root directory"
OFF = "the agent is switched off"
ENVIRONMENT = "it has another environment of credentials"
CONFIGURATION = "its configuration can't be used"
ARGUMENTS = "its arguments are not those of its command"
INCOMPLETE = "not all of its descriptors arrived"
TAKEN_BACK = "it did not wait so long for the agent"
REASONS = (
    *(FULL, DESCRIPTORS, ENDS, VERSION, HOOK, UNUSUAL, PLACE, OFF, ENVIRONMENT, CONFIGURATION),
    *(ARGUMENTS, INCOMPLETE, TAKEN_BACK),
)


class Refusal(Exception):
    """Why a client has to run its command itself: one of `REASONS`, and what more there is to say."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`detail` is for the log."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Refusals:
    """How many calls each worker has not served, and which reasons somebody has told since the last run began."""

    def __init__(self, workers: int) -> None:
        """In new memory that processes forked from now on share."""
        self._numbers = memoryview(mmap.mmap(-1, 8 * len(REASONS) * (workers + 1))).cast("q")

    def add(self, worker: int, reason: str) -> bool:
        """One more, by the worker of that number, which alone writes there, one thread at a time. Whether it is to tell
        the reason.
        """
        place = REASONS.index(reason)
        self._numbers[len(REASONS) * (worker + 1) + place] += 1
        was_told, self._numbers[place] = self._numbers[place], 1
        return not was_told

    def tell_again(self) -> None:
        """Another run begins: each reason is to be told once more."""
        for place in range(len(REASONS)):
            self._numbers[place] = 0

    def counts(self) -> dict[str, int]:
        """How many by each reason that there was."""
        sums = [sum(self._numbers[len(REASONS) + place :: len(REASONS)]) for place in range(len(REASONS))]
        return {reason: count for reason, count in zip(REASONS, sums, strict=True) if count}
