"""What each test begins and ends without."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin import redaction


@pytest.fixture(autouse=True)
def known_secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The secrets that are masked in this process: none of another test."""
    known: set[str] = set()
    monkeypatch.setattr(redaction, "_known", known)
    return known
