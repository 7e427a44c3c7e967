"""What each test begins and ends without."""

from __future__ import annotations

import os
import pwd

import pytest

from fsspec_gp_plugin import redaction


@pytest.fixture(autouse=True)
def known_secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The secrets that are masked in this process: none of another test."""
    known: set[str] = set()
    monkeypatch.setattr(redaction, "_known", known)
    monkeypatch.setattr(redaction, "_ordered", [])
    return known


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The user's home is where HOME says, if a test sets it, or one of the tests: this process remembers nothing in the
    user's own.
    """
    entry = pwd.getpwuid(os.geteuid())
    users = os.environ.get("HOME")
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(mode=0o700, exist_ok=True)

    def found(_: int) -> pwd.struct_passwd:
        named = os.environ.get("HOME")
        return pwd.struct_passwd((*entry[:5], str(home) if named in (None, users) else named, entry.pw_shell))

    monkeypatch.setattr(pwd, "getpwuid", found)
