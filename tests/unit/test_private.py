"""Files and directories that must be this user's alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.errors import ConfigError, LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OF_OTHERS = [0o040, 0o020, 0o010, 0o004, 0o002, 0o001]


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """What is made here is closed to others because the code says so, not because the umask does."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    os.close(private.open_directory("journal", private.below(str(tmp_path)), make=True))
    assert mode_of(tmp_path / ".fsspec_gp_plugin") == 0o700
    assert mode_of(tmp_path / ".fsspec_gp_plugin/journal") == 0o700


@pytest.mark.parametrize("more", OF_OTHERS, ids=oct)
def test_a_directory_that_others_may_use_is_refused(tmp_path: Path, more: int) -> None:
    """Also where they may only read it or pass through it."""
    os.close(private.open_directory("agent", private.below(str(tmp_path)), make=True))
    (tmp_path / ".fsspec_gp_plugin/agent").chmod(0o700 | more)
    with pytest.raises(LocalFileError, match="closed to others"):
        private.open_directory("agent", private.below(str(tmp_path)))


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(private.open_directory("agent", private.below(str(tmp_path)), make=True))
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(LocalFileError, match="must belong to the user"):
        private.open_directory("agent", private.below(str(tmp_path)))


def test_a_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    os.close(private.open_directory("agent", private.below(str(tmp_path)), make=True))
    place = tmp_path / ".fsspec_gp_plugin/agent"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalFileError, match="can't use"):
        private.open_directory("agent", private.below(str(tmp_path)))


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A file that can be read."""
    path = tmp_path / "secrets.yaml"
    private.write_file(str(path), "key: k\n", replace=False)
    return path


def test_a_file_is_written_for_this_user_alone_and_read(secrets: Path) -> None:
    assert mode_of(secrets) == 0o600
    assert private.read_file(str(secrets)) == "key: k\n"
    private.write_file(str(secrets), "key: other\n", replace=True)
    assert (mode_of(secrets), private.read_file(str(secrets))) == (0o600, "key: other\n")
    assert [path.name for path in secrets.parent.iterdir()] == [secrets.name]


@pytest.mark.parametrize("more", OF_OTHERS, ids=oct)
def test_a_file_that_others_may_use_is_refused(secrets: Path, more: int) -> None:
    secrets.chmod(0o600 | more)
    with pytest.raises(ConfigError, match=f"is open to other users; run `chmod 600 {secrets}`"):
        private.read_file(str(secrets))


def test_a_file_of_another_user_is_refused(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns it may change it, or open it to others."""
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(ConfigError, match="the secrets belongs to another user; `chown` it"):
        private.read_file(str(secrets), "the secrets")


def test_a_new_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small"
    refused = pytest.raises(LocalFileError, match=f"can't write {path}: No space left")
    with refused, private.new_file(str(path), replace=False):
        raise LocalFileError("can't write the output: No space left")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_right_after_a_file_was_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_and_be_interrupted(*arguments: Any) -> int:
        os.close(opened(*arguments))
        raise KeyboardInterrupt

    opened = os.open
    monkeypatch.setattr(os, "open", open_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt), private.new_file(str(tmp_path / "new"), replace=False):
        pytest.fail("it was not interrupted")
    assert list(tmp_path.iterdir()) == []
