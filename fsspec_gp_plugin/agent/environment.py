"""Which variables of an environment may decide where bytes go and with whose credentials.

The agent has those of the hook that started it. A caller that has others runs by itself, and gets what it asked for.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from ..redaction import is_secret_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES = {
    "HOME", "OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "RES_OPTIONS", "LOCALDOMAIN",
    "HOSTALIASES", "XDG_CONFIG_HOME",
}  # fmt: skip
_BEGINNINGS = (
    "AWS_", "BOTO_", "FSSPEC_", "S3FS_", "GCSFS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCE_", "GCS_", "AZURE_", "MSI_",
    "IDENTITY_", "IMDS_", "ARM_", "KRB5", "HADOOP_", "HDFS_", "SMB_", "FTP_", "OSS_", "HF_", "LAKECTL_", "GITHUB_",
    "DROPBOX_", "OCI_", "WEBDAV_", "STORAGE_EMULATOR",
)  # fmt: skip
_ENDS = ("_PROXY", "_CA_BUNDLE")


def relevant(environment: Mapping[str, str], protocol: str = "") -> dict[str, str]:
    """Those variables that count, for URLs of that protocol, after what the launcher in bin/ does to them."""
    return _relevant(frozenset(environment.items()), protocol)


@lru_cache(maxsize=64)  # the same for all tables of a session, and it would cost a tenth of a small one
def _relevant(variables: frozenset[tuple[str, str]], protocol: str) -> dict[str, str]:
    environment = dict(variables)
    found = {name: value for name, value in environment.items() if _counts(name)}
    if found.get("OPENSSL_CONF", "").startswith(f"{environment.get('GPHOME') or '/nowhere'}/"):
        del found["OPENSSL_CONF"]
    # It differs from one login to the next, and only one protocol asks it.
    if protocol in ("sftp", "ssh") and "SSH_AUTH_SOCK" in environment:
        found["SSH_AUTH_SOCK"] = environment["SSH_AUTH_SOCK"]
    return found


def _counts(name: str) -> bool:
    upper = name.upper()
    if upper in _NAMES or upper.startswith(_BEGINNINGS) or upper.endswith(_ENDS):
        return True
    return upper != "PWD" and not upper.startswith(("GP_", "PG")) and is_secret_key(name)


def digest(environment: Mapping[str, str]) -> str:
    """What tells two environments apart, without their secrets."""
    lines = sorted(f"{name}={value}\0" for name, value in relevant(environment).items())
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
