"""What a store does by several requests that others do by one."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.errors import AccessDenied, Interrupted, StorageError, Unreachable
from fsspec_gp_plugin.storage.fallbacks import put_by_writer
from tests.fakes import FakeStore


@pytest.mark.parametrize("error", [Unreachable("away"), AccessDenied("denied"), StorageError("full"), Interrupted(15)])
@pytest.mark.parametrize("step", ["write", "complete"])
def test_what_went_wrong_is_told_before_what_could_not_be_taken_back(step: str, error: BaseException) -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method == step:
            raise error
        if method == "abort":
            raise StorageError("read-only")

    with pytest.raises(type(error)) as caught:
        put_by_writer(FakeStore(before).begin("key"), memoryview(b"data"))
    told = "" if isinstance(error, Interrupted) else "; the unfinished upload could not be removed: read-only"
    assert str(caught.value) == f"{error}{told}"
