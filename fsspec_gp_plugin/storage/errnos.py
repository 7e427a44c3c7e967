"""What the numbers of the system's errors mean."""

from __future__ import annotations

import errno

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
