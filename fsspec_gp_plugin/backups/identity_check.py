"""Finds out for several backups how their objects are opened, before any of them is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from .backup_keys import make_opening
from .ownership import read_ownerships

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..age.opening import Opening
    from ..config.loading import Config
    from ..storage.contract import Store
    from .backup import Backup


class Openings:
    """How the objects of several backups are opened, by their claims."""

    def __init__(self, store: Store, config: Config, backups: Sequence[Backup], *, any_name: bool) -> None:
        """Read the claims. Raises ConfigError if there are encrypted backups and no identity opens one of them."""
        self._found: dict[str, Opening | str | None] = {}
        refusals = []
        is_any_opened = False
        for timestamp, ownership in read_ownerships(store, backups).items():
            opening = make_opening(config, ownership.claim, any_name=any_name)
            if opening is not None and opening.made_for:
                if opening.opens_data:
                    is_any_opened = True
                else:
                    why = f"{timestamp} is encrypted, and {opening.explain_no_identity()}"
                    refusals.append(why)
                    self._found[timestamp] = why
                    continue
            self._found[timestamp] = opening
        if refusals and not is_any_opened:
            raise ConfigError(refusals[0])

    def get(self, backup: Backup) -> Opening | str | None:
        """How the objects of a backup are opened: None if they are plain; why they can't be if no identity opens it."""
        return self._found[backup.timestamp]
