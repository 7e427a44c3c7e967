"""The part of a process's surroundings that may decide where bytes go and with whose credentials.

The agent has the surroundings of the hook that started it. A caller with other surroundings runs its command itself.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from ..redaction import is_secret_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..config.loading import Config

# Names of variables, in capitals. Every library for the network reads the first ones, and those for HTTP the second
# ones, too.
_NETWORK = (
    "OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES",
    "FSSPEC_*",
)  # fmt: skip
_WEB = (*_NETWORK, "*_PROXY", "*_CA_BUNDLE", "NETRC")
_AMAZON = ("AWS_*", "BOTO_*", "S3FS_*")
_GOOGLE = ("GOOGLE_*", "GCLOUD_*", "CLOUDSDK_*", "GCE_*", "GCS_*", "GCSFS_*", "STORAGE_EMULATOR*")
_AZURE = ("AZURE_*", "MSI_*", "IDENTITY_*", "IMDS_*", "ARM_*")
_KERBEROS = ("KRB5*",)
# Google's libraries take Amazon's credentials where its identities are federated.
_OF_PROTOCOLS = {
    ("file", "local"): (),
    ("s3", "s3a"): (*_WEB, *_AMAZON),
    ("gs", "gcs"): (*_WEB, *_GOOGLE, "NO_GCE_CHECK", *_AMAZON),
    ("abfs", "abfss", "az"): (*_WEB, *_AZURE),
    ("http", "https"): _WEB,
    ("webdav",): (*_WEB, "WEBDAV_*"),
    ("webhdfs",): (*_WEB, *_KERBEROS, "HADOOP_*", "HDFS_*"),
    ("sftp", "ssh"): (*_NETWORK, *_KERBEROS, "SSH_AUTH_SOCK"),
    ("smb",): (*_NETWORK, *_KERBEROS, "SMB_*"),
    ("ftp",): (*_NETWORK, "FTP_*"),
}
_PATTERNS = {protocol: ("HOME", *names) for group, names in _OF_PROTOCOLS.items() for protocol in group}
# For any other protocol, whose library may read any of these, and every variable that looks like a secret.
_ANY_PROTOCOL = (
    "HOME", "XDG_CONFIG_HOME", *_WEB, *_AMAZON, *_GOOGLE, *_AZURE, *_KERBEROS, "HADOOP_*", "HDFS_*", "SMB_*", "FTP_*",
    "OSS_*", "HF_*", "LAKECTL_*", "GITHUB_*", "DROPBOX_*", "OCI_*", "WEBDAV_*",
)  # fmt: skip
PLACE_PATHS = ("/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/user", "/")


def place() -> str:
    """Which files, network and users this process sees: the identities of its namespaces and its root directory. All
    processes have the same where there are no such namespaces. Both clients send theirs.
    """
    identities = []
    for path in PLACE_PATHS:
        device = inode = 0
        with suppress(OSError):
            status = os.stat(path)
            device, inode = status.st_dev, status.st_ino
        identities.append(f"{device:x}:{inode:x} ")
    return "".join(identities)


def protocols(config: Config) -> list[str]:
    """The protocols of the targets of a configuration."""
    return [target.url.partition("://")[0] for target in (config, config.replica) if target is not None]


def relevant(environment: Mapping[str, str], protocol: str) -> dict[str, str]:
    """The variables that count for URLs of that protocol, after the launcher in bin/ has removed some."""
    return _relevant(frozenset(environment.items()), protocol)


@lru_cache(maxsize=64)  # the same for all tables of a session, and it would cost a tenth of a small one
def _relevant(variables: frozenset[tuple[str, str]], protocol: str) -> dict[str, str]:
    environment = dict(variables)
    counting = {name: value for name, value in environment.items() if _counts(name.upper(), protocol)}
    if counting.get("OPENSSL_CONF", "").startswith(f"{environment.get('GPHOME') or '/nowhere'}/"):
        del counting["OPENSSL_CONF"]
    return counting


def _counts(name: str, protocol: str) -> bool:
    known = _PATTERNS.get(protocol)
    if any(fnmatchcase(name, pattern) for pattern in known or _ANY_PROTOCOL):
        return True
    return known is None and name != "PWD" and not name.startswith(("GP_", "PG")) and is_secret_key(name)


def differing(one: Mapping[str, str], other: Mapping[str, str], config: Config) -> list[str]:
    """The names of the variables that count for a configuration's targets, and are not the same in two environments."""
    differences = (
        relevant(one, protocol).items() ^ relevant(other, protocol).items() for protocol in protocols(config)
    )
    return sorted({name for pairs in differences for name, _ in pairs})


def digest(environment: Mapping[str, str], of: Iterable[str]) -> str:
    """A digest of the surroundings that count for targets of these protocols: it shows no secret."""
    variables = {(name, value) for protocol in of for name, value in relevant(environment, protocol).items()}
    lines = [place(), *(f"{name}={value}" for name, value in sorted(variables))]
    return hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()
