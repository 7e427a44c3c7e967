"""Encrypts what a backup stores, where the configuration names recipients."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..errors import AccessDenied, ConfigError, NotFound
from ..integrity.run_state import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..age.sealing import Seal
    from ..backups.backup_keys import Recipients
    from ..config.loading import Config
    from ..integrity.claim import Claim, Encryption
    from ..storage.contract import Store


class Encrypting:
    """Begins the encryption of the objects of one call. Several threads may use it."""

    def __init__(
        self,
        config: Callable[[], Config],
        store: Callable[[], Store],
        wait_for: Callable[[Callable[[], Claim]], Claim],
    ) -> None:
        """Nothing is read yet. `wait_for` returns the result of a request, unless the call is ended meanwhile."""
        self._config = config
        self._store = store
        self._wait_for = wait_for
        self._lock = threading.Lock()
        self._recipients: Recipients | None = None
        # By timestamp.
        self._tokens: dict[str, str] = {}

    def seal(self, key: str) -> Seal | None:
        """What an object is encrypted with; None without recipients. Raises ConfigError."""
        if not self._config().encryption_recipients:
            return None
        from ..age.object_name import ObjectName
        from ..age.sealing import new_seal

        with self._lock:
            recipients, token = self._load(), self._token_of(key)
        try:
            return new_seal(recipients.of(key), ObjectName(key, token))
        except ValueError as error:
            raise ConfigError(f"option 'encryption_recipients': {error}") from None

    def _load(self) -> Recipients:
        from ..backups.backup_keys import load_backup_recipients

        if self._recipients is None:
            self._recipients = load_backup_recipients(self._config())
        if self._recipients is None:
            raise ConfigError("option 'encryption_recipients' names no recipient")
        return self._recipients

    def _token_of(self, key: str) -> str:
        """The token of the claim of the backup that an object belongs to; "" if it is unknown, or there is no claim."""
        backup = keys.backup_of_key(key)
        if backup is None:
            return ""
        timestamp = backup[0]
        if timestamp not in self._tokens:
            run = read_run(self._config().place, timestamp)
            if run is None:
                self._tokens[timestamp] = self._look_up(timestamp)
            elif run.encryption == self._load().to_claim():
                self._tokens[timestamp] = run.claim
            else:
                raise ConfigError(
                    f"option 'encryption_recipients': it has changed since the setup hook of the backup {timestamp} "
                    "ran on this host; change recipients when no backup runs"
                )
        return self._tokens[timestamp]

    def _look_up(self, timestamp: str) -> str:
        """The token by the target, where no setup hook has joined a run of that backup on this host."""
        from ..backups.backup_keys import require_same_encryption
        from ..backups.claim_reading import find_claim

        try:
            claim = self._wait_for(partial(find_claim, self._store(), keys.backup_prefix(timestamp), lambda _: False))
        except (AccessDenied, NotFound):
            return ""
        require_same_encryption(self._load().to_claim(), claim)
        return claim.token


def prove_recipients(config: Config) -> Encryption | None:
    """Prove that this host can encrypt to the recipients of its configuration, and return what a claim says of them;
    None if it names none. Raises ConfigError.
    """
    if not config.encryption_recipients:
        return None
    from ..backups.backup_keys import load_backup_recipients, require_usable

    recipients = load_backup_recipients(config)
    if recipients is None:
        return None
    require_usable(recipients)
    return recipients.to_claim()
