"""Objects of a bucket are deleted a thousand a request, or eight at a time where the store refuses such a request."""

from __future__ import annotations

import base64
import hashlib
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, PluginError, Unreachable
from ..errors import translated
from ..fallbacks import BUSY_PAUSE, delete_side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .control import Control

_KEYS_A_REQUEST = 1000


class Deletion:
    """Deletes objects of one bucket. Remembers whether the store does so in bulk."""

    def __init__(self, control: Callable[[], Control], bucket: str) -> None:
        """`control` gives what makes requests now. Makes none yet."""
        self._control = control
        self._bucket = bucket
        self._in_bulk = True

    def delete(self, keys: Iterable[str]) -> list[str]:
        """Delete objects by their whole keys; returns a line for each that failed. Unreachable ends it."""
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_REQUEST)):
            failed += self._delete_batch(batch)
        return failed

    def _delete_batch(self, keys: list[str]) -> list[str]:
        failed = self._delete_in_bulk(keys) if self._in_bulk and len(keys) > 1 else None
        if failed is None:
            failed = delete_side_by_side(keys, self._delete_one, self._name)
            # Where each of them fails as well, bulk is not what is refused.
            self._in_bulk = self._in_bulk and (len(keys) == 1 or len(failed) == len(keys))
        return failed

    def _delete_in_bulk(self, keys: list[str]) -> list[str] | None:
        """None where the store refuses to: not every store can, and what else is wrong shows in single requests."""
        failed = []
        while keys:
            try:
                answer = self._request(keys)
            except Exception as error:
                problem = translated(error, f"can't delete {self._name('')}")
                if isinstance(problem, Unreachable):
                    raise problem from error
                return None
            problems = {told.get("Key", ""): self._problem(told) for told in answer.get("Errors", ())}
            deleted = {told.get("Key") for told in answer.get("Deleted", ())}
            if any(key not in deleted and key not in problems for key in keys):
                return None  # whoever answered so has not looked at them
            busy = {key: problem for key, problem in problems.items() if isinstance(problem, Unreachable)}
            failed += [str(one) for one in problems.values() if not isinstance(one, (Unreachable, NotFound))]
            if len(busy) >= len(keys):
                raise next(iter(busy.values()))
            keys = list(busy)
            if keys:
                time.sleep(BUSY_PAUSE)
        return failed

    def _request(self, keys: list[str]) -> Any:
        control = self._control()
        # Many stores want this and nothing newer, and Amazon takes it; botocore sends a CRC-32 alone.
        control.client().meta.events.register("before-call.s3.DeleteObjects", _add_md5, unique_id="fsspec_gp_plugin")
        listed = {"Objects": [{"Key": key} for key in keys]}
        return control.call("delete_objects", Bucket=self._bucket, Delete=listed)

    def _problem(self, told: dict[str, str]) -> PluginError:
        """Why one of many was not deleted, as if it had been asked for alone."""
        from botocore.exceptions import ClientError  # loaded by now

        return translated(ClientError({"Error": told}, "DeleteObjects"), f"can't delete {self._name(told.get('Key'))}")

    def _delete_one(self, key: str) -> None:
        self._control().call("delete_object", Bucket=self._bucket, Key=key)

    def _name(self, key: str | None) -> str:
        return f"s3://{self._bucket}/{key}"


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
