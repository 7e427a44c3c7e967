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
    return known


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's home is where HOME says, which tests set: what this process remembers is not the user's own."""
    entry = pwd.getpwuid(os.geteuid())

    def found(_: int) -> pwd.struct_passwd:
        return pwd.struct_passwd((*entry[:5], os.environ["HOME"], entry.pw_shell))

    monkeypatch.setattr(pwd, "getpwuid", found)
