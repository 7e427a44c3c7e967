"""Reads and writes files that only this user may access: what a host remembers between calls, and secrets."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from .errors import ConfigError, LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARENT = ".fsspec_gp_plugin"
# Left by a gpbackup or gprestore that was killed, whose cleanup hook never came.
_STALE_SECONDS = 30 * 86400.0
_LARGEST_FILE = 1 << 20


class NoDirectoryError(LocalFileError):
    """The directory does not exist yet."""


def home() -> str:
    """Return the user's home directory."""
    found = os.environ.get("HOME", "")
    if not found.startswith("/"):
        found = _home_by_passwd()
    if not found:
        raise LocalFileError("HOME is not set, and the user has no home directory")
    return found


def below(directory: str) -> str:
    """Return this program's directory in a home directory."""
    return os.path.join(directory, _PARENT)


def _home_by_passwd() -> str:
    """Return the home directory of the user's passwd entry; "" if there is none, as in containers."""
    import pwd

    try:
        found = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""
    return found if os.path.isdir(found) else ""


class Place(NamedTuple):
    """Where a host remembers what it knows of the backups at one target: the target's URL, and the directory, "" for
    the default one.
    """

    url: str
    directory: str = ""

    def open_directory(self, name: str, *, make: bool = False) -> int:
        """A descriptor of one of the directories there, as the function of that name gives it."""
        return open_directory(name, self.path, make=make)

    def name_of(self, timestamp: str) -> str:
        """What files of this host about one backup are called; a password in the URL is not in it."""
        target = hashlib.sha256(self.url.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return f"{timestamp}-{target}-{host()}"

    @property
    def path(self) -> str:
        """The directory that holds all of them: the same for every caller, whatever its environment says of HOME."""
        return self.directory or below(_home_by_passwd() or home())

    @property
    def earlier_path(self) -> str | None:
        """Where earlier versions kept them, where that is another directory: below the caller's HOME."""
        earlier = below(home())
        return None if earlier == self.path else earlier


def host() -> str:
    """The name of this host, for names of files: homes may be shared by hosts."""
    name = os.uname().nodename
    if len(name) <= 32:
        return name
    return f"{name[:23]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def open_directory(name: str, parent: str, *, make: bool = False) -> int:
    """A descriptor of the directory `name` below `parent`; LocalFileError where it is not the user's alone.

    Whatever happens to its path later, what is reached through the descriptor is in the directory that was checked.
    """
    path = os.path.join(parent, name)
    try:
        if make:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NoDirectoryError(f"there is no {path}") from error
    except OSError as error:
        raise LocalFileError(f"can't use {path}: {error.strerror}") from error
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(fd)
        raise LocalFileError(f"{path} must belong to the user and be closed to others (mode 0700)")
    return fd


@contextmanager
def opened_directory(place: Place, name: str, *, make: bool = False) -> Iterator[int]:
    """Open a directory of this host's state, and yield its descriptor. Raises LocalFileError, and NoDirectoryError if
    there is no directory and `make` is not set.
    """
    directory = place.open_directory(name, make=make)
    try:
        yield directory
    except OSError as error:
        raise LocalFileError(f"can't use {os.path.join(place.path, name)}: {error.strerror}") from error
    finally:
        os.close(directory)


def read_in(directory: int, name: str) -> bytes | None:
    """Return the content of a file in an open directory; None if it does not exist. Raises OSError."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return file.read()


def replace_in(directory: int, name: str, data: bytes) -> None:
    """Write a file in an open directory, whole or not at all, durably. Raises OSError."""
    part = f".{name}.{os.getpid()}-{os.urandom(4).hex()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(part, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
        raise


def unlink_in(directory: int, name: str) -> None:
    """Remove a file in an open directory if it exists. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def sweep(directory: int) -> None:
    """Remove the files of an open directory that were not written to for a month."""
    for name in os.listdir(directory):
        with suppress(FileNotFoundError):
            if time.time() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime > _STALE_SECONDS:
                os.unlink(name, dir_fd=directory)


def read_file(path: str, what: str = "", *, is_secret: bool = True, errors: str = "strict") -> str:
    """The text of a file that only this user may read, unless it is no secret; ConfigError, about `what`. What is
    opened is what is checked. `errors`: what to do with bytes that are no text, as for bytes.decode().
    """
    what = what or path
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{what} can't be read: {error.strerror}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise ConfigError(f"{what} is not a regular file")
    with open(fd, "rb") as file:
        if is_secret and status.st_uid != os.geteuid():
            raise ConfigError(f"{what} belongs to another user; `chown` it to the user who runs the backup")
        if is_secret and status.st_mode & 0o077:
            raise ConfigError(f"{what} is open to other users; run `chmod 600 {path}`")
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ConfigError(f"{what} is larger than 1 MB")
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError:
        raise ConfigError(f"{what} is not text") from None


def write_file(path: str, text: str, *, replace: bool) -> None:
    """A file that only this user may read, whole or not at all; unless `replace`, LocalFileError where there is one."""
    with new_file(path, replace=replace) as fd, open(fd, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)


@contextmanager
def new_file(path: str, *, replace: bool) -> Iterator[int]:
    """A descriptor of a file that only this user may read. The file gets its name at the end, if the block raises
    nothing; unless `replace`, LocalFileError where there is one.
    """
    part = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.part"
    try:
        if not replace and os.path.lexists(path):
            raise FileExistsError
        try:
            # In here, as a signal may come as soon as the file is there.
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                yield fd
                os.fsync(fd)
            finally:
                os.close(fd)
            if replace:
                os.rename(part, path)
            else:
                os.link(part, path)  # which never takes the place of another
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
    except FileExistsError as error:
        raise LocalFileError(f"{path} exists, and is not replaced; choose another name") from error
    except LocalFileError as error:
        raise LocalFileError(str(error).replace("the output", path, 1)) from error
    except OSError as error:
        raise LocalFileError(f"can't write {path}: {error.strerror}") from error
