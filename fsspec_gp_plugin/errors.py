"""The errors this program raises on purpose.

`call.py` turns one into a line and an exit status for gpbackup's commands, `cli/main.py` for the commands for people,
`agent/control.py` for `agent`.

PluginError            1  something failed while working
├── UsageError         2  the command line is wrong
├── ConfigError        2  the configuration file is wrong
├── LocalFileError     1  a file on this host can't be read or written
└── StorageError       1  the target refused or failed
    ├── NotFound       1  no such object
    ├── AccessDenied   1  credentials are missing, wrong, or may not do this
    ├── ObjectChanged  1  the object was replaced while it was being read
    ├── AlreadyExists  1  there is an object of that key, and it may not be replaced
    └── Unreachable    3  the target didn't answer; the same call may work later
        └── CredentialsEnded  3  they have expired, or can't be obtained now; new ones may come
Interrupted        128+n  signal n arrived (not an Exception: nothing may swallow it)
ReaderGone             0  the reader of our standard output has closed it
"""

from __future__ import annotations


class PluginError(Exception):
    """A failure whose message is complete: it names the thing and, where there is one, the next step."""

    exit_status = 1


class UsageError(PluginError):
    """The command line can't be understood."""

    exit_status = 2


class ConfigError(PluginError):
    """The configuration file can't be used."""

    exit_status = 2


class LocalFileError(PluginError):
    """A file or directory on this host can't be read or written."""


class StorageError(PluginError):
    """The storage target refused a request or failed at it."""


class NotFound(StorageError):
    """There is no object of that key."""


class AccessDenied(StorageError):
    """The credentials are missing, wrong, or don't allow the request."""


class ObjectChanged(StorageError):
    """The object is no longer the requested version."""


class AlreadyExists(StorageError):
    """There is an object of that key already, so it was not created."""


class Unreachable(StorageError):
    """The target could not be reached, or did not answer in time. `http_status`: the status of its response, "" without
    one.
    """

    exit_status = 3
    http_status = ""


class CredentialsEnded(Unreachable):
    """The credentials have expired or can't be obtained now; new ones may come."""


class Interrupted(BaseException):
    """A signal asked this process to stop. Not an Exception, so that no library's handler keeps it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class ReaderGone(Exception):
    """The reader of our standard output closed it: gprestore does so when it has what it needs."""
