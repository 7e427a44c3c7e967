"""The one table of the protocols that this package knows: to add one, add a line here and the module that it names.

It holds data only, so that every layer may read it.
"""

from __future__ import annotations

from typing import NamedTuple

# Patterns of environment variables, in capitals. Everything that uses the network reads the first group, HTTP also the
# second one.
_NETWORK = (
    "OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES",
    "FSSPEC_*",
)  # fmt: skip
_WEB = (*_NETWORK, "*_PROXY", "*_CA_BUNDLE", "NETRC")
_AMAZON = ("AWS_*", "BOTO_*", "S3FS_*")
_GOOGLE = ("GOOGLE_*", "GCLOUD_*", "CLOUDSDK_*", "GCE_*", "GCS_*", "GCSFS_*", "STORAGE_EMULATOR*")
_AZURE = ("AZURE_*", "MSI_*", "IDENTITY_*", "IMDS_*", "ARM_*")
_KERBEROS = ("KRB5*",)


class Provider(NamedTuple):
    """The code of one family of stores.

    `schemes`: of its URLs. `opener`: "module:function" in fsspec_gp_plugin.storage, called with (URL, storage options,
    timeout in seconds), which returns a Store. `dialect`: the module in storage/files that has its open_dialect().
    `package`: the distribution that brings its filesystem, beside fsspec. `extra`: what pip installs for it.
    `preload`: modules that take long to import and that the agent imports before it forks. `variables`: patterns of the
    environment variables that decide where its bytes go and with which credentials, beside HOME.
    """

    schemes: tuple[str, ...]
    opener: str = "files.open:open_files"
    dialect: str = ""
    package: str = ""
    extra: str = ""
    preload: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


_STORAGE = "fsspec_gp_plugin.storage"
PROVIDERS = (
    Provider(("file", "local"), "local.store:open_local", preload=(f"{_STORAGE}.local.store",)),
    Provider(
        ("s3", "s3a"), "s3.open:open_s3", package="s3fs", variables=(*_WEB, *_AMAZON),
        preload=(f"{_STORAGE}.s3.open", "botocore.auth", "s3fs"),
    ),
    # Google's libraries take Amazon's credentials where its identities are federated.
    Provider(
        ("gs", "gcs"), "gcs.open:open_gcs", package="gcsfs", preload=(f"{_STORAGE}.gcs.open",),
        variables=(*_WEB, *_GOOGLE, "NO_GCE_CHECK", *_AMAZON),
    ),
    Provider(
        ("abfs", "abfss", "az"), "azure.open:open_azure", package="adlfs", preload=(f"{_STORAGE}.azure.open",),
        variables=(*_WEB, *_AZURE),
    ),
    Provider(
        ("sftp", "ssh"), dialect="sftp.dialect", package="paramiko", extra="sftp",
        variables=(*_NETWORK, *_KERBEROS, "SSH_AUTH_SOCK"),
    ),
    Provider(
        ("smb",), dialect="smb.dialect", package="smbprotocol", extra="smb",
        variables=(*_NETWORK, *_KERBEROS, "SMB_*"),
    ),
    Provider(("webdav",), dialect="webdav.dialect", package="webdav4", extra="webdav", variables=(*_WEB, "WEBDAV_*")),
    Provider(("webhdfs",), dialect="webhdfs.dialect", variables=(*_WEB, *_KERBEROS, "HADOOP_*", "HDFS_*")),
    Provider(("ftp",), dialect="ftp.dialect", variables=(*_NETWORK, "FTP_*")),
    Provider(("http", "https"), dialect="web.dialect", variables=_WEB),
)  # fmt: skip
# Any other filesystem of fsspec. Nobody here knows its library, so every variable of a known one counts.
OTHER = Provider(
    (),
    variables=(
        "XDG_CONFIG_HOME", *_WEB, *_AMAZON, *_GOOGLE, *_AZURE, *_KERBEROS, "HADOOP_*", "HDFS_*", "SMB_*", "FTP_*",
        "OSS_*", "HF_*", "LAKECTL_*", "GITHUB_*", "DROPBOX_*", "OCI_*", "WEBDAV_*",
    ),
)  # fmt: skip
_BY_SCHEME = {scheme: provider for provider in PROVIDERS for scheme in provider.schemes}


def scheme_of(url: str) -> str:
    """Return the part of a URL before "://"."""
    return url.partition("://")[0]


def provider_of(scheme: str) -> Provider:
    """Return the provider of URLs with that scheme; OTHER for what this package has no code of its own for."""
    return _BY_SCHEME.get(scheme, OTHER)
