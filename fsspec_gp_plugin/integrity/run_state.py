"""Keeps on this host under which claim a run of gpbackup writes, and whether its setup hook has failed.

gpbackup calls backup_file and the cleanup hooks also after a setup hook that failed.
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
from .claim import Encryption
from .locking import locked_directory

if TYPE_CHECKING:
    from ..private import Place

DIRECTORY = "runs"
_REFUSED = ".refused"


class Run(NamedTuple):
    """One run on this host. `claim`: the claim's token, "" if it could not be read; `mark`: the id of this host's mark;
    `proven`: no other run can have claimed the prefix; `directories`: the data directories of the hooks that have found
    the claim; `has_manifest`: a manifest of this host is stored; `process`: the run's gpbackup, if it runs on this
    host; `taken_back`: it has ended without a cleanup hook, and its uploads were aborted; `encryption`: to whom this
    host encrypts.
    """

    claim: str
    mark: str
    proven: bool = True
    directories: tuple[str, ...] = ()
    has_manifest: bool = False
    process: GpbackupProcess | None = None
    taken_back: bool = False
    encryption: Encryption | None = None


def read_run(place: Place, timestamp: str) -> Run | None:
    """The run that a setup hook has joined on this host. None if there is none. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        return _read_joined(directory, place.name_of(timestamp))
    return None


def find_recent_run(place: Place, timestamp: str, seconds: float) -> Run | None:
    """The run, if a hook has joined it on this host in the last `seconds`. Otherwise None. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        name = place.name_of(timestamp)
        found = _read_joined(directory, name)
        if found is not None and abs(time.time() - os.stat(f"{name}.run", dir_fd=directory).st_mtime) < seconds:
            return found
    return None


def find_unfinished_runs(place: Place) -> list[tuple[str, Run]]:
    """The timestamps and runs at a target that a hook has joined on this host, whose cleanup hook has not run, and
    whose uploads were not aborted. Raises LocalFileError.
    """
    found = []
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        for name in sorted(os.listdir(directory)):
            timestamp = name.partition("-")[0]
            if name == f"{place.name_of(timestamp)}.run":
                run = _read_joined(directory, place.name_of(timestamp))
                if run is not None and not run.has_manifest and not run.taken_back:
                    found.append((timestamp, run))
    return found


def begin_run(place: Place, timestamp: str, run: Run) -> Run:
    """Return the run with the same claim that another hook of this host has begun; if there is none, keep `run` and
    return it. Raises LocalFileError.
    """
    with locked_directory(place, DIRECTORY, make=True) as directory:
        name = place.name_of(timestamp)
        before = _read(directory, name)
        if before is not None and (before.claim == run.claim or not run.claim):
            return before
        if before is not None and not before.claim:
            run = before._replace(claim=run.claim)  # another hook of this host could not read it
        private.sweep(directory)
        _write(directory, f"{name}.run", _encode(run))
        return run


def remember_run(place: Place, timestamp: str, run: Run) -> None:
    """Keep a run, and remove its refusals in its data directories. If the claim is the same, the directories that were
    kept before stay. Raises LocalFileError.
    """
    with locked_directory(place, DIRECTORY, make=True) as directory:
        name = place.name_of(timestamp)
        before = _read(directory, name)
        if before is not None and before.claim == run.claim:
            directories = tuple(dict.fromkeys(before.directories + run.directories))
            run = run._replace(directories=directories, has_manifest=before.has_manifest or run.has_manifest)
        _write(directory, f"{name}.run", _encode(run))
        for one in run.directories:
            with suppress(FileNotFoundError):
                os.unlink(_refusal(name, one), dir_fd=directory)


def refuse_run(place: Place, timestamp: str, data_directory: str, why: str) -> None:
    """Make the run's other commands with paths below the data directory fail. Raises LocalFileError."""
    with locked_directory(place, DIRECTORY, make=True) as directory:
        private.sweep(directory)
        _write(directory, _refusal(place.name_of(timestamp), data_directory), why)


def read_standing(place: Place, timestamp: str, data_directory: str) -> tuple[str | None, Run | None]:
    """Why the run with this data directory was refused, None if it was not; and the run that a setup hook has joined on
    this host, None if there is none. Raises LocalFileError.

    If no run of that timestamp was joined on this host, a refusal in one data directory counts for all.
    """
    try:
        directory = place.open_directory(DIRECTORY)
    except private.NoDirectoryError:
        return None, None
    try:
        name = place.name_of(timestamp)
        why, run = _read_text(directory, _refusal(name, data_directory)), _read_joined(directory, name)
        if why is None and run is None:
            refused = (one for one in os.listdir(directory) if one.startswith(f"{name}.") and one.endswith(_REFUSED))
            why = next((_read_text(directory, one) for one in refused), None)
        return why, run
    finally:
        os.close(directory)


def has_refusal(place: Place, timestamp: str) -> bool:
    """Whether a run of that timestamp was refused on this host, in any data directory. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        ours = f"{place.name_of(timestamp)}."
        return any(name.startswith(ours) and name.endswith(_REFUSED) for name in os.listdir(directory))
    return False


def remove_run(place: Place, timestamp: str) -> None:
    """Remove all that is kept of a run. Raises LocalFileError."""
    with suppress(private.NoDirectoryError), locked_directory(place, DIRECTORY) as directory:
        ours = f"{place.name_of(timestamp)}."
        for name in os.listdir(directory):
            if name.startswith(ours):
                os.unlink(name, dir_fd=directory)


def _refusal(name: str, data_directory: str) -> str:
    digest = hashlib.sha256(os.fsencode(os.path.normpath(data_directory))).hexdigest()[:16]
    return f"{name}.{digest}{_REFUSED}"


def _encode(run: Run) -> str:
    process = None if run.process is None else run.process._asdict()
    encryption = None if run.encryption is None else run.encryption.to_json()
    return json.dumps({**run._asdict(), "process": process, "encryption": encryption})


def _read_joined(directory: int, name: str) -> Run | None:
    run = _read(directory, name)
    return run if run is not None and run.directories else None


def _read(directory: int, name: str) -> Run | None:
    text = _read_text(directory, f"{name}.run")
    if text is None:
        return None
    try:
        value = json.loads(text)
        process = GpbackupProcess.from_json(value.get("process"))
        encryption = Encryption.from_json(value.get("encryption"))
        directories = tuple(value["directories"])
        return Run(**{**value, "directories": directories, "process": process, "encryption": encryption})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # a crash has torn the file, or another version wrote it


def _read_text(directory: int, name: str) -> str | None:
    try:
        content = private.read_in(directory, name)
    except OSError as error:
        raise LocalFileError(
            f"can't read the file {name} in the directory {DIRECTORY!r} of this host's state: {error.strerror}"
        ) from error
    return None if content is None else content.decode(errors="replace")


def _write(directory: int, name: str, text: str) -> None:
    private.replace_in(directory, name, text.encode(errors="replace"))
