"""The steps of `doctor` about encryption, which it shows only if the configuration has recipients or identities."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ...age.key_files import load_identities
from ...age.object_name import ObjectName
from ...age.opening import Opening
from ...age.sealing import new_seal
from ...age.x25519 import new_identity
from ...backups.backup_keys import load_backup_recipients, require_usable
from ...backups.from_config import download_settings, upload_settings
from ...errors import AccessDenied, ConfigError, StorageError
from ...transfer.download import Download
from ...transfer.upload import Upload

if TYPE_CHECKING:
    from ...age.x25519 import Identity, Recipient
    from ...backups.backup_keys import Recipients
    from ...config.loading import Config
    from ...storage.contract import Store
    from .steps import Step, Steps

# Several chunks of an encrypted object.
_SIZE = 200_000


def look_at_encryption(steps: Steps, config: Config) -> None:
    """Check the recipients, and say what the identities on this host can read."""
    recipients = None
    if config.encryption_recipients:
        with steps.trying("recipients") as step:
            recipients = load_backup_recipients(config)
            if recipients is not None:
                _look_at_recipients(step, recipients)
    if config.encryption_recipients or config.encryption_identity_file:
        with steps.trying("identities") as step:
            _look_at_identities(step, config.encryption_identity_file, recipients)


def recipient_texts(config: Config) -> list[str]:
    """The recipients of the configuration, those of each kind in order: hosts with different files of recipients are
    told apart by them. Raises ConfigError.
    """
    recipients = load_backup_recipients(config)
    if recipients is None:
        return []
    return [*sorted(one.text for one in recipients.data), "", *sorted(one.text for one in recipients.files)]


def _look_at_recipients(step: Step, recipients: Recipients) -> None:
    require_usable(recipients)
    step.figures = {"data": len(recipients.data), "metadata": len(recipients.files)}
    step.finding = f"backups are encrypted to {_texts(recipients.data)}"
    if recipients.files:
        step.finding += f"; the coordinator's files also to {_texts(recipients.files)}"


def _texts(recipients: tuple[Recipient, ...]) -> str:
    return ", ".join(one.text for one in recipients)


def _look_at_identities(step: Step, path: str, recipients: Recipients | None) -> None:
    step.figures["reads"] = "nothing"
    if not path:
        step.finding = "this host has no identity, so it can't read encrypted backups; a backup needs none"
        return
    if not os.path.lexists(os.path.expanduser(path)):
        step.finding = f"there is no {path} on this host, so it can't read encrypted backups; a backup needs none"
        return
    identities = load_identities(path)
    if recipients is None:
        step.figures["reads"] = "others"
        step.finding = f"{path} has {_count(identities)}; new backups are not encrypted, as there are no recipients"
    elif _belonging(identities, recipients.data):
        step.figures["reads"] = "data"
        step.warn(
            f"an identity in {path} can read the data of the backups that this host encrypts",
            "if this host makes backups, keep that identity off it, and bring it back for a restore",
        )
    elif _belonging(identities, recipients.files):
        step.figures["reads"] = "metadata"
        step.finding = f"an identity in {path} can read the coordinator's files of backups, and no table data"
    else:
        step.figures["reads"] = "others"
        step.finding = f"no identity in {path} belongs to the recipients, so this host can't read new backups"


def _count(identities: tuple[Identity, ...]) -> str:
    return f"{len(identities)} identit{'y' if len(identities) == 1 else 'ies'}"


def _belonging(identities: tuple[Identity, ...], recipients: tuple[Recipient, ...]) -> tuple[Identity, ...]:
    """The identities that belong to one of the recipients."""
    public = {one.public for one in recipients}
    return tuple(one for one in identities if one.recipient.public in public)


def try_encryption(steps: Steps, store: Store, prefix: str, config: Config, *, works: bool) -> None:
    """Store an encrypted object, fetch it and decrypt it, if the configuration has recipients. `works`: whether objects
    can be stored at all.
    """
    if not config.encryption_recipients:
        return
    if not works:
        steps.skip(["encrypt"], "an earlier step failed")
        return
    with steps.trying("encrypt") as step:
        recipients = load_backup_recipients(config)
        if recipients is not None:
            _try_round_trip(step, store, f"{prefix}encrypted", config, recipients)


def _try_round_trip(step: Step, store: Store, key: str, config: Config, recipients: Recipients) -> None:
    identities = _own_identities(config, recipients)
    whose = "an identity of this host"
    wanted = recipients.data
    if not identities:
        # Of this trial alone. The identities of the recipients should not be here.
        identities = (new_identity(),)
        wanted += (identities[0].recipient,)
        whose = "a temporary key"
    data = os.urandom(_SIZE)
    source, sink = _memory_file(data), _memory_file(b"")
    try:
        seal = new_seal(wanted, ObjectName(key))
        Upload(store, key, upload_settings(config), step.warn, seal=seal).run(source)
        opening = Opening(identities, is_encrypted=True)
        Download(store, sink, download_settings(config), opening=opening).write_whole(key)
        if os.pread(sink, _SIZE + 1, 0) != data:
            raise StorageError("an encrypted object came back with other content")
        step.finding = f"an encrypted object came back, and {whose} opened it"
    except AccessDenied as error:
        step.warn(f"an encrypted object was stored; these credentials can't read it: {error}")
    finally:
        os.close(source)
        os.close(sink)
        with suppress(StorageError):  # the last step reports what stays
            store.delete([key])


def _own_identities(config: Config, recipients: Recipients) -> tuple[Identity, ...]:
    """The identities on this host that open table data."""
    with suppress(ConfigError):  # an earlier step has reported it
        if config.encryption_identity_file:
            return _belonging(load_identities(config.encryption_identity_file), recipients.data)
    return ()


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("trial", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
