"""The stanza by which an encrypted object says whose it is, so that another one can't take its place.

age binds a payload to its header, and neither to a name. This stanza has the object's key and the token of its backup's
claim. Other programs ignore it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .header import DecryptionError, Stanza

if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "fsspec-gp-plugin/name"
# In place of the token where the host that wrote the object could not read its backup's claim.
_UNKNOWN = "-"


class ObjectName(NamedTuple):
    """An object's key below the URL, and the token of its backup's claim, "" if it is unknown."""

    key: str
    token: str = ""

    def to_stanza(self) -> Stanza:
        """The stanza that says it."""
        return Stanza(KIND, (self.token or _UNKNOWN,), self.key.encode("utf-8", "surrogateescape"))

    def require(self, stanzas: Iterable[Stanza]) -> None:
        """Raise DecryptionError unless the stanzas say that the object is this one. An unknown token fits any."""
        found = [stanza for stanza in stanzas if stanza.kind == KIND]
        if not found:
            raise DecryptionError(
                "its header does not say which object it is, so it may be another one in its place; `decrypt "
                "--any-name` opens objects that were encrypted by other programs"
            )
        if len(found) > 1 or len(found[0].arguments) != 1:
            raise DecryptionError("its header is damaged")
        if found[0].body != self.to_stanza().body:
            raise DecryptionError(
                f"its header says that it is {found[0].body.decode(errors='replace')[:300]!r}: another object was put "
                "in its place"
            )
        if self.token and found[0].arguments[0] not in (self.token, _UNKNOWN):
            raise DecryptionError("its header says that it belongs to another backup of the same timestamp")
