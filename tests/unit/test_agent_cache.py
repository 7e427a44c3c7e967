"""Configurations and stores that the agent keeps."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.httpsession import where

from fsspec_gp_plugin.agent.cache import SharedResources, Warm
from fsspec_gp_plugin.errors import ConfigError
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.transfer.buffers import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fsspec_gp_plugin.transfer.descriptor_io import Alarm


def write(path: Path, options: str = "{}", **others: str) -> str:
    lines = ["executablepath: /x", "options:", "  url: s3://bucket/prefix", f"  storage_options: '{options}'"]
    path.write_text("\n".join([*lines, *(f"  {name}: {value}" for name, value in others.items())]))
    return str(path)


def resources(warm: Warm, path: str, environment: dict[str, str] | None = None) -> SharedResources:
    config = warm.config(path, environment or {})
    return SharedResources(warm, config, cast("Alarm", None), Memory(0), (os.getpid(), environment or {}))


LITERAL = '{"key": "k", "secret": "s3cret", "endpoint_url": "http://127.0.0.1:1"}'


def test_a_configuration_is_read_again_only_when_something_in_it_changed(tmp_path: Path) -> None:
    warm = Warm()
    path = write(tmp_path / "a.yaml", '{"key": "${NAME}", "secret": "x"}')
    first = warm.config(path, {"NAME": "one", "OTHER": "1"})
    assert first.storage_options["key"] == "one"
    assert warm.config(path, {"NAME": "one", "OTHER": "2"}) is first
    assert warm.config(path, {"NAME": "two"}).storage_options["key"] == "two"
    with pytest.raises(ConfigError, match="NAME"):
        warm.config(path, {})
    # The same text elsewhere is the same configuration, but for where it is.
    again = warm.config(write(tmp_path / "b.yaml", '{"key": "${NAME}", "secret": "x"}'), {"NAME": "two"})
    assert (again.path, again.storage_options["key"]) == (str(tmp_path / "b.yaml"), "two")


def test_a_changed_file_of_secrets_is_read(tmp_path: Path) -> None:
    warm = Warm()
    secrets = tmp_path / "secrets"
    path = write(tmp_path / "a.yaml", storage_options_file=str(secrets))
    for key in ("one", "two!"):
        secrets.write_text(f"key: {key}\n")
        secrets.chmod(0o600)
        assert warm.config(path, {}).storage_options == {"key": key}
    secrets.chmod(0o644)
    with pytest.raises(ConfigError, match="open to other users"):
        warm.config(path, {})


class _Meanwhile(dict[str, str]):
    """An environment during whose reading something happens, once."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = [happens]

    def get(self, name: str, default: Any = None) -> Any:
        while self._happens:
            self._happens.pop()()
        return super().get(name, default)


def test_a_file_of_secrets_that_is_replaced_while_it_is_read_counts(tmp_path: Path) -> None:
    warm = Warm()
    secrets, later = tmp_path / "secrets", tmp_path / "later"
    path = write(tmp_path / "a.yaml", storage_options_file=str(secrets))
    for file, key in ((secrets, "old"), (later, "new")):
        file.touch(0o600)
        file.write_text(f"key: {key}\n")
    warm.config(path, _Meanwhile(lambda: later.rename(secrets)))
    assert warm.config(path, {}).storage_options == {"key": "new"}


def test_a_store_is_shared_by_calls_until_something_of_it_changes(tmp_path: Path) -> None:
    warm = Warm()
    path = write(tmp_path / "a.yaml", LITERAL)
    one, two = resources(warm, path), resources(warm, path)
    log = Log(str(tmp_path))
    first = one.store(one.config(path, log))
    assert two.store(two.config(path, log)) is first
    one.release(first)
    assert resources(warm, path).store(warm.config(path, {})) is first
    other = write(tmp_path / "b.yaml", LITERAL.replace("s3cret", "another"))
    assert resources(warm, other).store(warm.config(other, {})) is not first
    log.close()


def test_a_store_that_refused_is_made_anew_for_the_next_call(tmp_path: Path) -> None:
    warm = Warm()
    path = write(tmp_path / "a.yaml", LITERAL)
    one = resources(warm, path)
    first = one.store(warm.config(path, {}))
    one.release(first)
    config = warm.config(path, {})
    one.distrust()
    assert warm.config(path, {}) is not config
    assert resources(warm, path).store(warm.config(path, {})) is not first


def test_a_store_whose_authority_s_file_changed_is_made_anew(tmp_path: Path) -> None:
    warm = Warm()
    authority = tmp_path / "ca.pem"
    shutil.copy(where(), authority)
    options = LITERAL.replace('"key"', f'"client_kwargs": {{"verify": "{authority}"}}, "key"')
    path = write(tmp_path / "a.yaml", options)
    first = resources(warm, path).store(warm.config(path, {}))
    assert resources(warm, path).store(warm.config(path, {})) is first
    os.utime(authority, (1, 1))
    assert resources(warm, path).store(warm.config(path, {})) is not first


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    warm = Warm()
    stores = []
    for number in range(30):
        path = write(tmp_path / f"{number}.yaml", LITERAL.replace("s3cret", f"secret{number}"))
        one = resources(warm, path)
        stores.append(one.store(warm.config(path, {})))
        one.release(stores[-1])
    assert len(warm._stores) <= 9
    assert resources(warm, path).store(warm.config(path, {})) is stores[-1]
    path = str(tmp_path / "0.yaml")
    assert resources(warm, path).store(warm.config(path, {})) is not stores[0]
