"""Signing without s3fs, where all that it would find out is known.

s3fs and its client cost 0.4 s before the first request, more than many a table takes. With an endpoint in the options,
and keys there or in the environment, nothing is left to find out, so the signature is all that is needed. Else
botocore, which s3fs asks as well, tells credentials and region (chain.py). Whatever is not known here, in options,
environment or files, leaves it to s3fs.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ..contract import Way
from .signature import Keys, UrlSigner
from .signing import METHODS, OTHER_FILES, SIGNATURE_SECONDS, Presigned, has_any_of, header_values, variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..http.routes import Network

_KNOWN = {
    "key", "secret", "token", "profile", "endpoint_url", "client_kwargs", "config_kwargs", "s3_additional_kwargs",
}  # fmt: skip
_KNOWN_OF_CLIENT = {"region_name", "verify"}
_KNOWN_OF_CONFIG = {
    "connect_timeout", "read_timeout", "retries", "max_pool_connections", "s3", "signature_version", "proxies",
    "request_checksum_calculation", "response_checksum_validation",
}  # fmt: skip
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_QUERY = {"PartNumber": "partNumber", "UploadId": "uploadId", "VersionId": "versionId"}
# What S3 knows of s3_additional_kwargs for each request; the others belong to those that create an object.
_NOT_CREATING = {"get_object", "head_object", "upload_part"}
_FOR_EVERY_REQUEST = {"RequestPayer", "ExpectedBucketOwner", "ChecksumCRC32C", "ChecksumMode", "ContentMD5"}


def own_signer(bucket: str, options: dict[str, Any], timeout: float) -> OwnSigner | None:
    """A signer for one bucket by these s3fs options, or None where only s3fs knows what they mean."""
    if not _are_known(options):
        return None
    endpoint, region = options.get("endpoint_url"), (options.get("client_kwargs") or {}).get("region_name")
    keys = _keys(options)
    if keys is not None and endpoint:
        return OwnSigner(f"{endpoint.rstrip('/')}/{bucket}", region or "us-east-1", lambda: keys, options, timeout)
    from .chain import found_by_botocore

    found = found_by_botocore(bucket, options)
    return None if found is None else OwnSigner(found.address, found.region, found.keys, options, timeout)


def _are_known(options: dict[str, Any]) -> bool:
    """Whether all that the options say is known here."""
    client, config = options.get("client_kwargs") or {}, options.get("config_kwargs") or {}
    endpoint = options.get("endpoint_url") or "http://any"
    return (
        set(options) <= _KNOWN
        and set(client) <= _KNOWN_OF_CLIENT
        and set(config) <= _KNOWN_OF_CONFIG
        and set(config.get("s3") or {}) <= {"addressing_style"}
        and (config.get("s3") or {}).get("addressing_style", "auto") in ("auto", "path")
        and config.get("signature_version", "s3v4") == "s3v4"
        and "amazonaws.com" not in endpoint
        and urlsplit(endpoint).path in ("", "/")
    )


def _keys(options: dict[str, Any]) -> Keys | None:
    """The access key of the options, or of the environment; None where files or variables may say something else."""
    said = variables() - {"AWS_CA_BUNDLE"}
    if "profile" in options or has_any_of(("~/.aws/config", "~/.aws/credentials", *OTHER_FILES)):
        return None
    if options.get("key") and options.get("secret"):
        return None if said else Keys(options["key"], options["secret"], options.get("token"))
    access_key, secret_key = (os.environ.get(name) for name in _VARIABLES[:2])
    is_said_nowhere_else = said <= set(_VARIABLES) and not {"key", "secret", "token"} & set(options)
    if not is_said_nowhere_else or not access_key or not secret_key:
        return None
    return Keys(access_key, secret_key, os.environ.get(_VARIABLES[2]) or None)


class OwnSigner:
    """Signs for one bucket."""

    def __init__(
        self, address: str, region: str, keys: Callable[[], Keys], options: dict[str, Any], timeout: float
    ) -> None:
        """`address`: the bucket's, without a slash at its end. `keys` gives those that are good now. `options` are
        s3fs', all of which are known here.
        """
        self._region = region
        self._keys = keys
        self._options = options
        self._timeout = timeout
        self._additional = options.get("s3_additional_kwargs") or {}
        parts = urlsplit(address)
        self._endpoint, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._signer: UrlSigner | None = None

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        additional = {
            name: value
            for name, value in self._additional.items()
            if operation not in _NOT_CREATING or name in _FOR_EVERY_REQUEST or name.startswith("SSECustomer")
        }
        merged = {**additional, **parameters}
        headers = header_values(merged)
        query = {_QUERY[name]: str(value) for name, value in merged.items() if name in _QUERY}
        path = f"{self._path}/{quote(merged['Key'], safe='/~')}"
        method = METHODS[operation]
        url = self._current().signed(method, path, query, headers, SIGNATURE_SECONDS, time.time())
        return Presigned(method, url, headers)

    def _current(self) -> UrlSigner:
        """With the keys that are good now, which may have been renewed."""
        keys, signer = self._keys(), self._signer
        if signer is None or signer.keys != keys:
            signer = self._signer = UrlSigner(self._endpoint, self._region, keys)
        return signer

    def way(self) -> Way:
        """How requests travel."""
        return Way.to(self._endpoint, is_verified=bool(self._verify()))

    def _verify(self) -> bool | str:
        """As botocore finds it: whether certificates are verified, or the file of those whom to trust."""
        verify: bool | str | None = (self._options.get("client_kwargs") or {}).get("verify")
        if verify is None:
            return os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True
        return verify

    def network(self) -> Network:
        """What botocore would make of options and environment."""
        from ..http.routes import Network

        return Network(
            timeout=self._timeout,
            proxy_of=self._proxy_of(),
            verify=self._verify(),
            certificates=_certificates() if self._endpoint.startswith("https://") else None,
        )

    def _proxy_of(self) -> Callable[[str], str | None]:
        proxies = (self._options.get("config_kwargs") or {}).get("proxies")
        if not proxies and (proxies is not None or not any(name.lower().endswith("_proxy") for name in os.environ)):
            return lambda _: None
        from botocore.httpsession import ProxyConfiguration
        from botocore.utils import get_environ_proxies

        if proxies is None:
            proxies = get_environ_proxies(self._endpoint)
        of: Callable[[str], str | None] = ProxyConfiguration(proxies=proxies).proxy_url_for
        return of


def _certificates() -> str:
    """The file of authorities that botocore trusts."""
    try:
        import certifi
    except ImportError:
        from botocore.httpsession import where

        return str(where())
    return certifi.where()
