"""Configurations and stores that the agent keeps."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.httpsession import where

from fsspec_gp_plugin.agent.cache import Cache, CachedResources
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


def resources(cache: Cache, path: str, environment: dict[str, str] | None = None) -> CachedResources:
    config = cache.config(path, environment or {})
    return CachedResources(cache, config, cast("Alarm", None), Memory(0), (os.getpid(), environment or {}))


LITERAL = '{"key": "k", "secret": "s3cret", "endpoint_url": "http://127.0.0.1:1"}'


def test_a_configuration_is_read_again_only_when_something_in_it_changed(tmp_path: Path) -> None:
    cache = Cache()
    path = write(tmp_path / "a.yaml", '{"key": "${NAME}", "secret": "x"}')
    first = cache.config(path, {"NAME": "one", "OTHER": "1"})
    assert first.storage_options["key"] == "one"
    assert cache.config(path, {"NAME": "one", "OTHER": "2"}) is first
    assert cache.config(path, {"NAME": "two"}).storage_options["key"] == "two"
    with pytest.raises(ConfigError, match="NAME"):
        cache.config(path, {})
    # The same text elsewhere is the same configuration, but for where it is.
    again = cache.config(write(tmp_path / "b.yaml", '{"key": "${NAME}", "secret": "x"}'), {"NAME": "two"})
    assert (again.path, again.storage_options["key"]) == (str(tmp_path / "b.yaml"), "two")


def test_a_changed_file_of_secrets_is_read(tmp_path: Path) -> None:
    cache = Cache()
    secrets = tmp_path / "secrets"
    path = write(tmp_path / "a.yaml", storage_options_file=str(secrets))
    for key in ("one", "two!"):
        secrets.write_text(f"key: {key}\n")
        secrets.chmod(0o600)
        assert cache.config(path, {}).storage_options == {"key": key}
    secrets.chmod(0o644)
    with pytest.raises(ConfigError, match="open to other users"):
        cache.config(path, {})


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
    cache = Cache()
    secrets, later = tmp_path / "secrets", tmp_path / "later"
    path = write(tmp_path / "a.yaml", storage_options_file=str(secrets))
    for file, key in ((secrets, "old"), (later, "new")):
        file.touch(0o600)
        file.write_text(f"key: {key}\n")
    cache.config(path, _Meanwhile(lambda: later.rename(secrets)))
    assert cache.config(path, {}).storage_options == {"key": "new"}


def test_a_store_is_shared_by_calls_until_something_of_it_changes(tmp_path: Path) -> None:
    cache = Cache()
    path = write(tmp_path / "a.yaml", LITERAL)
    one, two = resources(cache, path), resources(cache, path)
    log = Log(str(tmp_path))
    first = one.store(one.config(path, log))
    assert two.store(two.config(path, log)) is first
    one.release(first)
    assert resources(cache, path).store(cache.config(path, {})) is first
    other = write(tmp_path / "b.yaml", LITERAL.replace("s3cret", "another"))
    assert resources(cache, other).store(cache.config(other, {})) is not first
    log.close()


def test_a_store_that_refused_is_made_anew_for_the_next_call(tmp_path: Path) -> None:
    cache = Cache()
    path = write(tmp_path / "a.yaml", LITERAL)
    one = resources(cache, path)
    first = one.store(cache.config(path, {}))
    one.release(first)
    config = cache.config(path, {})
    one.remove_stores()
    assert cache.config(path, {}) is not config
    assert resources(cache, path).store(cache.config(path, {})) is not first


def test_a_store_whose_authority_s_file_changed_is_made_anew(tmp_path: Path) -> None:
    cache = Cache()
    authority = tmp_path / "ca.pem"
    shutil.copy(where(), authority)
    options = LITERAL.replace('"key"', f'"client_kwargs": {{"verify": "{authority}"}}, "key"')
    path = write(tmp_path / "a.yaml", options)
    first = resources(cache, path).store(cache.config(path, {}))
    assert resources(cache, path).store(cache.config(path, {})) is first
    os.utime(authority, (1, 1))
    assert resources(cache, path).store(cache.config(path, {})) is not first


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    cache = Cache()
    stores = []
    for number in range(30):
        path = write(tmp_path / f"{number}.yaml", LITERAL.replace("s3cret", f"secret{number}"))
        one = resources(cache, path)
        stores.append(one.store(cache.config(path, {})))
        one.release(stores[-1])
    assert len(cache._stores) <= 9
    assert resources(cache, path).store(cache.config(path, {})) is stores[-1]
    path = str(tmp_path / "0.yaml")
    assert resources(cache, path).store(cache.config(path, {})) is not stores[0]
