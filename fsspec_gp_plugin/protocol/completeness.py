"""Whether a target has all that makes a backup one that gpbackup finished."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..backups.parallel import run_together
from ..errors import NotFound
from ..storage.reading import part_of

if TYPE_CHECKING:
    from ..storage.contract import Store
    from .context import Context


def require_backup(context: Context, store: Store, prefix: str, timestamp: str) -> None:
    """A backup's table of contents and its report, which gpbackup writes when all else is there, can be read.

    A directory without any file of gpbackup's is let pass with a line in the log: gpbackup's own
    acceptance script restores such.
    """
    wanted = [f"{prefix}gpbackup_{timestamp}_{name}" for name in ("toc.yaml", "report")]
    there = run_together(*(partial(_is_there, store, key) for key in wanted))
    missing = [key for key, is_there in zip(wanted, there, strict=True) if not is_there]
    if not missing:
        return
    others = False
    for info in store.find(prefix):
        others = True
        if info.key.startswith(f"{prefix}gpbackup_"):
            raise NotFound(
                f"the backup {timestamp} is not complete: {missing[0].removeprefix(prefix)} is not at the target, "
                "so gpbackup did not finish it"
            )
    if not others:
        raise NotFound(
            f"there is no backup {timestamp} at {context.config.url}; check the timestamp and `url`"
            + (", and that every host sees the same directory" if context.config.url.startswith("file:") else "")
        )
    context.log.info(f"{prefix} holds no file of gpbackup's")


def _is_there(store: Store, key: str) -> bool:
    """Whether there is such an object, with something in it: an empty one was put there to try the target.

    Its last byte can be read, also as a range: large objects are read so, and there are servers that send none.
    """
    try:
        info = store.stat(key)
    except NotFound:
        return False
    if info.size:
        part_of(store, info, info.size - 1, info.size)
    return info.size > 0
