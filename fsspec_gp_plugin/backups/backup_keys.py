"""Which recipients the objects of a backup are encrypted to, and how those of a claimed backup are opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .. import keys
from ..age.key_files import MOST_KEYS, load_identities, load_recipients
from ..age.opening import Opening, name_recipients
from ..age.x25519 import FILE_KEY_SIZE
from ..errors import ConfigError
from ..integrity.claim import Encryption

if TYPE_CHECKING:
    from ..age.x25519 import Recipient
    from ..config.loading import Config
    from ..integrity.claim import Claim

_OPTIONS = ("encryption_recipients", "encryption_metadata_recipients")


class Recipients(NamedTuple):
    """To whom a host encrypts. `data`: the recipients of all objects; `files`: further ones of the coordinator's
    files.
    """

    data: tuple[Recipient, ...]
    files: tuple[Recipient, ...] = ()

    def of(self, key: str) -> tuple[Recipient, ...]:
        """The recipients of one object."""
        return self.data + self.files if is_file_of_coordinator(key) else self.data

    def to_claim(self) -> Encryption:
        """What a claim says of them."""
        return Encryption(tuple(one.text for one in self.data), tuple(one.text for one in self.files))


def is_file_of_coordinator(key: str) -> bool:
    """Whether it is one of the coordinator's files of a backup, whose names have no content id, and holds no table
    data: statistics have values of columns.
    """
    found = keys.backup_of_key(key)
    return (
        found is not None
        and found[1].startswith(start := f"gpbackup_{found[0]}_")
        and found[1] != f"{start}statistics.sql"
    )


def load_backup_recipients(config: Config) -> Recipients | None:
    """The recipients of a configuration, for a backup; None if it has none. Raises ConfigError, which names the
    option.
    """
    data = load_recipients(_OPTIONS[0], config.encryption_recipients)
    if not data:
        return None
    if config.checksum == "off":
        raise ConfigError("option 'checksum': a backup with `encryption_recipients` needs `crc32c`, as what is stored "
                          "is compared before it is decrypted; a restore may use `off`")  # fmt: skip
    files = load_recipients(_OPTIONS[1], config.encryption_metadata_recipients)
    known = {one.public for one in data}
    files = tuple(one for one in files if one.public not in known)
    if len(data) + len(files) > MOST_KEYS:
        raise ConfigError(
            f"options {_OPTIONS[0]!r} and {_OPTIONS[1]!r}: expected at most {MOST_KEYS} recipients together"
        )
    return Recipients(data, files)


def require_usable(recipients: Recipients) -> None:
    """Raise ConfigError unless something can be encrypted to each of the recipients."""
    for option, group in zip(_OPTIONS, recipients, strict=True):
        for one in group:
            try:
                one.wrap(bytes(FILE_KEY_SIZE))
            except ValueError as error:
                raise ConfigError(f"option {option!r}: nothing can be encrypted to {one.text}: {error}") from None


def require_same_encryption(ours: Encryption | None, claim: Claim) -> None:
    """Raise ConfigError if this host would not encrypt to the recipients that the backup's claim names."""
    if _as_sets(ours) != _as_sets(claim.encryption):
        raise ConfigError(
            f"this host would {_describe(ours)}; the coordinator's claim of {claim.timestamp} says: "
            f"{_describe(claim.encryption)}. Use the same `encryption_recipients` and `encryption_metadata_recipients` "
            "on all hosts"
        )


def _as_sets(encryption: Encryption | None) -> list[frozenset[str]]:
    return [] if encryption is None else list(map(frozenset, encryption))


def _describe(encryption: Encryption | None) -> str:
    if encryption is None:
        return "not encrypt"
    text = f"encrypt to {name_recipients(encryption.recipients)}"
    if encryption.metadata_recipients:
        text += f" (metadata also to {name_recipients(encryption.metadata_recipients)})"
    return text


def make_opening(config: Config, claim: Claim | None, *, any_name: bool = False) -> Opening | None:
    """How the objects of a backup with that claim are opened; None if its claim says that it is not encrypted. Without
    a claim the first bytes of an object tell whether it is. Raises ConfigError if the claim says that it is encrypted
    and the file of the identities can't be used.
    """
    if claim is not None and claim.encryption is None:
        return None
    opening = Opening((), any_name=any_name, identity_file=config.encryption_identity_file)
    if claim is not None and claim.encryption is not None:
        opening = opening._replace(token=claim.token, is_encrypted=True, made_for=claim.encryption.recipients)
    if config.encryption_identity_file:
        try:
            opening = opening._replace(identities=load_identities(config.encryption_identity_file))
        except ConfigError as error:
            if claim is not None:
                raise
            # A plain backup needs none: all hosts have the same configuration, and only some may have the file.
            opening = opening._replace(problem=str(error))
    return opening
