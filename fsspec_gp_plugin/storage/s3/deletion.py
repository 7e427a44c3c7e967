"""Deletes objects of a bucket: a thousand per request, or one per request if the store refuses larger ones."""

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
    """Deletes objects of one bucket, and remembers whether the store takes bulk requests."""

    def __init__(self, control: Callable[[], Control], bucket: str) -> None:
        """`control` returns the Control in use now, as credentials are renewed. Makes no request yet."""
        self._control = control
        self._bucket = bucket
        self._in_bulk = True

    def delete(self, keys: Iterable[str]) -> list[str]:
        """Delete objects by their whole keys; returns a line for each that failed. Raises Unreachable."""
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_REQUEST)):
            failed += self._delete_batch(batch)
        return failed

    def _delete_batch(self, keys: list[str]) -> list[str]:
        failed = self._delete_in_bulk(keys) if self._in_bulk and len(keys) > 1 else None
        if failed is None:
            failed = delete_side_by_side(keys, self._delete_one, self._name)
            # If each of them fails as well, the store does not refuse the bulk request as such.
            self._in_bulk = self._in_bulk and (len(keys) == 1 or len(failed) == len(keys))
        return failed

    def _delete_in_bulk(self, keys: list[str]) -> list[str] | None:
        """None if the store refuses it: not every store can, and single requests show whatever else is wrong."""
        failed = []
        while keys:
            try:
                answer = self._request(keys)
            except Exception as error:
                problem = translated(error, f"can't delete {self._name('')}")
                if isinstance(problem, Unreachable):
                    raise problem from error
                return None
            problems = {entry.get("Key", ""): self._problem(entry) for entry in answer.get("Errors", ())}
            deleted = {entry.get("Key") for entry in answer.get("Deleted", ())}
            if any(key not in deleted and key not in problems for key in keys):
                return None  # the server that answered has not looked at them
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
        # Many stores require the MD5 and know nothing newer, and Amazon takes it; botocore sends only a CRC-32.
        control.client().meta.events.register("before-call.s3.DeleteObjects", _add_md5, unique_id="fsspec_gp_plugin")
        listed = {"Objects": [{"Key": key} for key in keys]}
        return control.call("delete_objects", Bucket=self._bucket, Delete=listed)

    def _problem(self, entry: dict[str, str]) -> PluginError:
        """The error of one key of a bulk request, as a request for that key alone would have raised it."""
        from botocore.exceptions import ClientError  # loaded by now

        return translated(
            ClientError({"Error": entry}, "DeleteObjects"), f"can't delete {self._name(entry.get('Key'))}"
        )

    def _delete_one(self, key: str) -> None:
        self._control().call("delete_object", Bucket=self._bucket, Key=key)

    def _name(self, key: str | None) -> str:
        return f"s3://{self._bucket}/{key}"


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
