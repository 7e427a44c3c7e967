"""What this host remembers of a backup's run, from its setup hook on: under which claim it writes, and whether the run
was refused. gpbackup calls backup_file and the cleanup hooks also after a setup hook that failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from .. import private
from ..errors import LocalFileError
from ..gpbackup_process import GpbackupProcess
from .locking import one_at_a_time

if TYPE_CHECKING:
    from ..private import Place

DIRECTORY = "runs"
_REFUSED = ".refused"


class Run(NamedTuple):
    """`claim`: the claim's token, "" where it could not be read; `proven`: no other run can have claimed the same;
    `mark`: the id of this host's mark; `directories`: the data directories of the hooks that have found the claim;
    `has_manifest`: a manifest of this host is stored; `process`: the run's gpbackup, where it runs on this host;
    `taken_back`: it has ended without a cleanup hook, and its uploads were taken back.
    """

    claim: str
    mark: str
    proven: bool = True
    directories: tuple[str, ...] = ()
    has_manifest: bool = False
    process: GpbackupProcess | None = None
    taken_back: bool = False


def read_run(place: Place, timestamp: str) -> Run | None:
    """What is remembered of a run; None where no setup hook has joined one here. LocalFileError."""
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        return _joined(directory, place.name_of(timestamp))
    return None


def joined_within(place: Place, timestamp: str, seconds: float) -> Run | None:
    """The run, where a hook has joined it on this host in the last `seconds`; else None. LocalFileError."""
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        name = place.name_of(timestamp)
        found = _joined(directory, name)
        if found is not None and abs(time.time() - os.stat(f"{name}.run", dir_fd=directory).st_mtime) < seconds:
            return found
    return None


def unfinished_runs(place: Place) -> list[tuple[str, Run]]:
    """The runs at a target, by timestamp, that a hook has joined on this host, whose cleanup hook has not come, and
    whose uploads were not taken back. LocalFileError.
    """
    found = []
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        for name in sorted(os.listdir(directory)):
            timestamp = name.partition("-")[0]
            if name == f"{place.name_of(timestamp)}.run":
                run = _joined(directory, place.name_of(timestamp))
                if run is not None and not run.has_manifest and not run.taken_back:
                    found.append((timestamp, run))
    return found


def begin(place: Place, timestamp: str, run: Run) -> Run:
    """The run of that claim in which this host takes part: that of another hook, where one was before or is at work,
    else `run`, which is noted. LocalFileError.
    """
    with one_at_a_time(place, DIRECTORY, make=True) as directory:
        name = place.name_of(timestamp)
        before = _read(directory, name)
        if before is not None and (before.claim == run.claim or not run.claim):
            return before
        if before is not None and not before.claim:
            run = before._replace(claim=run.claim)  # another hook of this host could not read it
        private.sweep(directory)
        _write(directory, f"{name}.run", _written(run))
        return run


def remember(place: Place, timestamp: str, run: Run) -> None:
    """Remember a run, and that it is not refused in its data directories; LocalFileError.

    The directories that were remembered before are kept where it is the same claim.
    """
    with one_at_a_time(place, DIRECTORY, make=True) as directory:
        name = place.name_of(timestamp)
        before = _read(directory, name)
        if before is not None and before.claim == run.claim:
            directories = tuple(dict.fromkeys(before.directories + run.directories))
            run = run._replace(directories=directories, has_manifest=before.has_manifest or run.has_manifest)
        _write(directory, f"{name}.run", _written(run))
        for one in run.directories:
            with suppress(FileNotFoundError):
                os.unlink(_refusal(name, one), dir_fd=directory)


def refuse(place: Place, timestamp: str, data_directory: str, why: str) -> None:
    """Let the other commands of a run fail: those with paths below the data directory; LocalFileError."""
    with one_at_a_time(place, DIRECTORY, make=True) as directory:
        private.sweep(directory)
        _write(directory, _refusal(place.name_of(timestamp), data_directory), why)


def read_refusal(place: Place, timestamp: str, data_directory: str) -> str | None:
    """Why the run was refused that has this data directory; None where it was not. LocalFileError.

    Where no run of that timestamp was joined on this host, a refusal in one data directory is meant for all.
    """
    try:
        directory = place.open_directory(DIRECTORY)
    except private.NoDirectoryError:
        return None
    try:
        name = place.name_of(timestamp)
        why = _text(directory, _refusal(name, data_directory))
        if why is None and _joined(directory, name) is None:
            refused = (one for one in os.listdir(directory) if one.startswith(f"{name}.") and one.endswith(_REFUSED))
            why = next((_text(directory, one) for one in refused), None)
        return why
    finally:
        os.close(directory)


def has_refusal(place: Place, timestamp: str) -> bool:
    """Whether a run of that timestamp was refused on this host, in whatever data directory; LocalFileError."""
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        ours = f"{place.name_of(timestamp)}."
        return any(name.startswith(ours) and name.endswith(_REFUSED) for name in os.listdir(directory))
    return False


def forget(place: Place, timestamp: str) -> None:
    """Forget a run that was deleted; LocalFileError."""
    with suppress(private.NoDirectoryError), one_at_a_time(place, DIRECTORY) as directory:
        ours = f"{place.name_of(timestamp)}."
        for name in os.listdir(directory):
            if name.startswith(ours):
                os.unlink(name, dir_fd=directory)


def _refusal(name: str, data_directory: str) -> str:
    digest = hashlib.sha256(os.fsencode(os.path.normpath(data_directory))).hexdigest()[:16]
    return f"{name}.{digest}{_REFUSED}"


def _written(run: Run) -> str:
    process = None if run.process is None else run.process._asdict()
    return json.dumps({**run._asdict(), "process": process})


def _joined(directory: int, name: str) -> Run | None:
    run = _read(directory, name)
    return run if run is not None and run.directories else None


def _read(directory: int, name: str) -> Run | None:
    text = _text(directory, f"{name}.run")
    if text is None:
        return None
    try:
        told = json.loads(text)
        process = GpbackupProcess.from_json(told.get("process"))
        return Run(**{**told, "directories": tuple(told["directories"]), "process": process})
    except (KeyError, TypeError, ValueError):
        return None  # torn by a crash, or of another version


def _text(directory: int, name: str) -> str | None:
    try:
        found = private.read_in(directory, name)
    except OSError as error:
        raise LocalFileError(f"can't read the note {name} on this host: {error.strerror}") from error
    return None if found is None else found.decode(errors="replace")


def _write(directory: int, name: str, text: str) -> None:
    private.replace_in(directory, name, text.encode(errors="replace"))
