"""Kinds of targets, and what has to be known of each: questions, where the answers go, which are right."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...providers import provider_of, scheme_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Question:
    """One thing to know. `name`: that of a storage option, dots for mappings in it, or `:NAME` for a part of the URL.

    `check` returns what the answer means, or raises ValueError with what is expected. An answer may be left out where
    there is a default or `optional`; `after` names a question whose answer it depends on; a `secret` is not shown.
    """

    name: str
    text: str
    check: Callable[[str], Any] = str
    default: str = ""
    optional: bool = False
    secret: bool = False
    after: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of target; `url` is made of the answers, `extra` are storage options that need no question."""

    name: str
    title: str
    url: str
    questions: tuple[Question, ...]
    extra: tuple[tuple[str, Any], ...] = ()


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return check


def _prefix(text: str) -> str:
    text = text.strip("/")
    if not re.fullmatch(r"[^\s?#%:]*", text) or ".." in text.split("/") or "//" in text:
        raise ValueError("expected names with / between them, without spaces")
    return text


def _endpoint(text: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query:
            if parts.username or parts.password:
                raise ValueError("expected no user and password in it")
            return text
    except ValueError as error:
        raise ValueError(str(error)) from None
    raise ValueError("expected http:// or https://, a host and perhaps :port")


def _directory(text: str) -> str:
    if not text.startswith("/") or not text.strip("/") or re.search(r"\s|[%?#]", text):
        raise ValueError("expected an absolute path, without spaces")
    return os.path.normpath(text)


def _file(text: str) -> str:
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isfile(path):
        raise ValueError(f"there is no file {path} on this host")
    return path


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError("expected a number from 1 to 65535")
    return int(text)


def _must_exist(text: str) -> bool:
    if text.lower() not in ("yes", "y", "no", "n"):
        raise ValueError("expected yes or no")
    return text.lower() in ("no", "n")


def url_of_any(text: str) -> str:
    """A URL as it stands."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", text):
        raise ValueError("expected PROTOCOL://…, without spaces, such as webhdfs://namenode:9870/backups")
    return text


_BUCKET = Question(
    ":bucket", "Bucket", _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}", "the name of a bucket, without s3:// and /")
)
_PREFIX = Question(":prefix", "Prefix of all backups in it", _prefix, default="greenplum")
_HOST = _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "the name or the address of a host")
_REGION = _matching(r"[A-Za-z0-9_-]+", "the name of a region, such as eu-central-1")
_SECRET_KEY = Question("secret", "Secret access key", secret=True, after="key")

KINDS: tuple[Kind, ...] = (
    Kind(
        "s3",
        "Amazon S3",
        "s3://{bucket}/{prefix}",
        (
            _BUCKET,
            _PREFIX,
            Question("client_kwargs.region_name", "Region (empty: as the host is set up)", _REGION, optional=True),
            Question("key", "Access key id (empty: the role or profile of each host)", optional=True),
            _SECRET_KEY,
        ),
    ),
    Kind(
        "minio",
        "MinIO, or another store that speaks S3",
        "s3://{bucket}/{prefix}",
        (
            Question("endpoint_url", "Address of the store (https://HOST:PORT)", _endpoint),
            _BUCKET,
            _PREFIX,
            Question("client_kwargs.region_name", "Region (empty: none)", _REGION, optional=True),
            Question(
                "client_kwargs.verify", "File with your own certificate authority (empty: none)", _file, optional=True
            ),
            Question("key", "Access key id"),
            _SECRET_KEY,
        ),
    ),
    Kind(
        "gcs",
        "Google Cloud Storage",
        "gs://{bucket}/{prefix}",
        (
            _BUCKET,
            _PREFIX,
            Question("project", "Project (empty: that of the credentials)", optional=True),
            Question(
                "token", "File of a service account's key (empty: the host's own credentials)", _file, optional=True
            ),
        ),
        (("access", "read_write"),),
    ),
    Kind(
        "azure",
        "Azure Blob Storage",
        "abfs://{container}/{prefix}",
        (
            Question("account_name", "Storage account", _matching(r"[a-z0-9]{3,24}", "its name: letters and digits")),
            Question(":container", "Container", _matching(r"[a-z0-9][a-z0-9-]{2,62}", "the name of a container")),
            _PREFIX,
            Question("account_key", "Account key (empty: the identity of each host)", optional=True, secret=True),
        ),
    ),
    Kind(
        "disk",
        "A disk, or a file system mounted on all hosts",
        "file://{directory}",
        (
            Question(":directory", "Directory, the same on every host", _directory),
            Question(
                "auto_mkdir",
                "Refuse to run where the directory is missing, as when nothing is mounted",
                _must_exist,
                default="yes",
            ),
        ),
    ),
    Kind(
        "sftp",
        "A server reached by SSH (SFTP)",
        "sftp://{host}{directory}",
        (
            Question(":host", "Host", _HOST),
            Question("port", "Port", _port, default="22"),
            Question(":directory", "Directory there", _directory),
            Question("username", "User there (empty: who runs the backup)", optional=True),
            Question("key_filename", "File of the private key (empty: those in ~/.ssh)", _file, optional=True),
            Question("password", "Password, or passphrase of the key (empty: none)", optional=True, secret=True),
        ),
    ),
    Kind("other", "Another: any URL that fsspec knows", "{url}", (Question(":url", "URL", url_of_any),)),
)


def kind_of(url: str, storage_options: dict[str, Any]) -> Kind:
    """The kind of target that a URL is of."""
    provider = provider_of(scheme_of(url))
    found = next((kind for kind in KINDS if provider_of(scheme_of(kind.url)) is provider), KINDS[-1])
    return KINDS[1] if found is KINDS[0] and "endpoint_url" in storage_options else found
