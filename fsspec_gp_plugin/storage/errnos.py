"""Tables of what the system's error numbers and SMB's status codes mean: this package's error, and where to look."""

from __future__ import annotations

import errno

from ..errors import AccessDenied, NotFound, StorageError, Unreachable

# Of files on this host, or as a library tells of those elsewhere.
ERRNO = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EISDIR: "there is a directory of that name",
    errno.EIO: "the disk reports an input/output error",
    errno.ESTALE: "the network file system's handle is stale",
}

# The network's errors, and limits that are met while others have files or connections open.
_AWAY = "the network is down, or no route leads to the store"
PASSING_ERRNO = {
    errno.ENETUNREACH: _AWAY,
    errno.EHOSTUNREACH: _AWAY,
    errno.ENETDOWN: _AWAY,
    errno.EHOSTDOWN: _AWAY,
    errno.ENONET: _AWAY,
    errno.ENETRESET: "the connection failed",
    errno.ENOTCONN: "the connection failed",
    errno.EPROTO: "the connection failed",
    errno.EADDRNOTAVAIL: "this host has no address or port left for the connection",
    errno.ENOBUFS: "this host has no memory left for the connection",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "this host has too many files open",
}


NTSTATUS: dict[int, tuple[type[StorageError], str]] = {
    0xC000000F: (NotFound, "there is no such object"),
    0xC0000034: (NotFound, "there is no such object"),
    0xC000003A: (NotFound, "there is no such object"),
    0xC0000022: (AccessDenied, "permission denied"),
    0xC0000061: (AccessDenied, "permission denied"),
    0xC000006A: (AccessDenied, "the log-in failed; check `username` and `password` in storage_options"),
    0xC000006D: (AccessDenied, "the log-in failed; check `username` and `password` in storage_options"),
    0xC000006E: (AccessDenied, "the account is restricted on the server"),
    0xC0000071: (AccessDenied, "the password has expired"),
    0xC0000072: (AccessDenied, "the account is disabled"),
    0xC0000234: (AccessDenied, "the account is locked"),
    0xC00000CC: (StorageError, "there is no such share; create it or correct `url`"),
    0xC0000225: (StorageError, "there is no such share; create it or correct `url`"),
    0xC0000033: (StorageError, "the server does not allow this name"),
    0xC0000035: (StorageError, "there is something of that name"),
    0xC00000BA: (StorageError, "there is a directory of that name"),
    0xC0000103: (StorageError, "a part of the path is a file, not a directory"),
    0xC000007F: (StorageError, "the disk is full"),
    0xC0000044: (StorageError, "the disk quota is used up"),
    0xC0000043: (Unreachable, "another client has the file open"),
    0xC0000056: (Unreachable, "the file is being deleted, but another client has it open"),
    0xC000009A: (Unreachable, "the server is short of memory"),
    0xC00000B5: (Unreachable, "the server did not answer in time"),
    0xC00000C9: (Unreachable, "the share went away"),
    0xC0000120: (Unreachable, "the server cancelled the request"),
    0xC0000128: (Unreachable, "the server closed the file"),
    0xC00000D0: (Unreachable, "the server has too many connections"),
    0xC0000203: (Unreachable, "the server ended the session"),
    0xC0000205: (Unreachable, "the server is short of memory"),
    0xC0000466: (Unreachable, "the server is not available"),
}
