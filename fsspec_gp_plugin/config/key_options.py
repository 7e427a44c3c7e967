"""Reads the options that name recipients and identities, before any of their files is opened."""

from __future__ import annotations

import re

from ..redaction import register

# A secret key that was put under the wrong option, in whatever case and with whatever around it.
_IDENTITY = re.compile(r"age-secret-key-[0-9a-z]+", re.IGNORECASE)


def parse_recipients_option(text: str) -> str:
    """Recipients, which are checked here, or the absolute path of a file with them. Raises ValueError."""
    from ..age.key_files import is_path, parse_recipients

    _hide_identities(text)
    if is_path(text):
        return text
    if text.strip() and not text.lower().lstrip().startswith(("age1", "age-secret-key-")):
        raise ValueError("expected recipients of the form age1…, separated by blanks, or the absolute path of a file")
    parse_recipients(text)
    return text


def parse_identity_file(text: str) -> str:
    """The absolute path of a file with identities. Raises ValueError, which never quotes an identity."""
    from ..age.key_files import is_path

    if _hide_identities(text):
        raise ValueError("an identity itself stands there; put it into a file that only this user can read, and give "
                         "the path of that file")  # fmt: skip
    if not is_path(text):
        raise ValueError("expected the absolute path of a file")
    return text


def _hide_identities(text: str) -> bool:
    """Let no message and no log show an identity in the text; returns whether there is one."""
    found = _IDENTITY.findall(text)
    for identity in found:
        register(identity)
    return bool(found)
