"""Says how the objects of one backup are opened: with which identities, and what their headers must say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .header import DecryptionError
from .object_name import ObjectName
from .sealing import NoIdentityError, open_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .header import Header
    from .x25519 import Identity


# A claim may name many recipients; a message doesn't.
_MOST_NAMED = 3


def name_recipients(texts: Sequence[str]) -> str:
    """The recipients for a message: three of them, and how many others there are."""
    others = len(texts) - _MOST_NAMED
    return ", ".join(texts[:_MOST_NAMED]) + (f" and {others} other{'s' if others > 1 else ''}" if others > 0 else "")


class Opening(NamedTuple):
    """How the objects of one backup are opened. `token`: its claim's token, "" if it is unknown; `is_encrypted`:
    whether its claim says that it is encrypted, None without a claim: then the first bytes of an object decide;
    `any_name`: objects whose headers don't say which objects they are, or say that they are others, are opened, too;
    `made_for`: the recipients that the claim names, `identity_file`: the path of the identities, and `problem`: why
    they could not be loaded, all for messages.
    """

    identities: tuple[Identity, ...]
    token: str = ""
    is_encrypted: bool | None = None
    any_name: bool = False
    made_for: tuple[str, ...] = ()
    identity_file: str = ""
    problem: str = ""

    @property
    def opens_data(self) -> bool:
        """Whether one of the identities belongs to a recipient of the whole backup."""
        return any(identity.recipient.text in self.made_for for identity in self.identities)

    def find_file_key(self, key: str, header: Header) -> bytes:
        """The file key of the object with this key; DecryptionError, which names the key, if it must not be opened or
        can't be.
        """
        try:
            file_key = open_header(header, self.identities)
            if not self.any_name:
                ObjectName(key, self.token).require(header.stanzas)
        except NoIdentityError:
            raise NoIdentityError(f"{key} is encrypted, and {self.explain_no_identity()}") from None
        except DecryptionError as error:
            raise DecryptionError(f"{key} can't be decrypted: {error}") from None
        return file_key

    def explain_no_identity(self) -> str:
        """Why no identity opens the backup, as the end of a sentence."""
        made_for = f"; it was made for {name_recipients(self.made_for)}" if self.made_for else ""
        if self.problem:
            return f"its identities could not be loaded: {self.problem}"
        if not self.identity_file:
            return f"there is no identity to open it: set `encryption_identity_file`{made_for}"
        return f"none of the identities in {self.identity_file} opens it{made_for}"
