"""What error codes, HTTP statuses, classes of exceptions and system errors mean: our error, and where to look."""

from __future__ import annotations

import errno

from ..errors import AccessDenied, NotFound, ObjectChanged, StorageError, Unreachable

PROXY_LOGIN = "the proxy wants other credentials; check the user and the password in its URL"

# Error codes of S3 and what speaks like it, and HTTP statuses where an answer has no code.
CODES: dict[str, tuple[type[StorageError], str]] = {
    "NoSuchKey": (NotFound, "there is no such object"),
    "404": (NotFound, "there is no such object"),
    "NotFound": (NotFound, "there is no such object"),
    "NoSuchBucket": (StorageError, "the bucket does not exist; create it or correct `url`"),
    "InvalidBucketName": (StorageError, "the bucket's name is not valid; correct `url`"),
    "AccessDenied": (AccessDenied, "access denied; the credentials don't allow this request"),
    "403": (AccessDenied, "access denied; check the credentials in storage_options and the bucket's policy"),
    "401": (AccessDenied, "access denied; check the credentials in storage_options"),
    "407": (AccessDenied, PROXY_LOGIN),
    "InvalidAccessKeyId": (AccessDenied, "the access key is not known there; check `key` in storage_options"),
    "SignatureDoesNotMatch": (AccessDenied, "the secret key does not match; check `secret` in storage_options"),
    "ExpiredToken": (AccessDenied, "the session token has expired; renew the credentials"),
    "InvalidToken": (AccessDenied, "the session token is not valid; renew the credentials"),
    "InvalidTokenId": (AccessDenied, "the session token is not valid; renew the credentials"),  # MinIO's word for it
    "RequestTimeTooSkewed": (StorageError, "this host's clock differs from the store's; set the clock"),
    "PermanentRedirect": (StorageError, "the bucket is in another region; set region_name in client_kwargs"),
    "AuthorizationHeaderMalformed": (StorageError, "the region is wrong; set region_name in client_kwargs"),
    "412": (ObjectChanged, "the object was replaced while it was being read"),
    "PreconditionFailed": (ObjectChanged, "the object was replaced while it was being read"),
    "SlowDown": (Unreachable, "the store asks to slow down"),
    "ServiceUnavailable": (Unreachable, "the store is not available"),
    "503": (Unreachable, "the store is not available"),
    "500": (Unreachable, "the store had an internal error"),
    "502": (Unreachable, "the gateway before the store got no answer"),
    "504": (Unreachable, "the gateway before the store got no answer in time"),
    "429": (Unreachable, "the store asks to slow down"),
    "Throttling": (Unreachable, "the store asks to slow down"),
    "RequestLimitExceeded": (Unreachable, "the store asks to slow down"),
    "RequestTimeout": (Unreachable, "the store waited too long for data"),
    "InternalError": (Unreachable, "the store had an internal error"),
    "OperationAborted": (Unreachable, "another request on the same object is under way"),
    "BadDigest": (Unreachable, "the bytes were changed on their way"),
    "IncompleteBody": (Unreachable, "not all bytes arrived"),
    "XAmzContentChecksumMismatch": (Unreachable, "the bytes were changed on their way"),
    "XAmzContentSHA256Mismatch": (Unreachable, "the bytes were changed on their way"),
    "XMinioStorageFull": (StorageError, "the store is full"),
    "EntityTooLarge": (StorageError, "the store refuses an object of this size"),
}

# Reasons of Google's JSON API that say more than the status.
CODES |= {
    "retentionPolicyNotMet": (StorageError, "a retention policy keeps the object"),
    "objectUnderActiveHold": (StorageError, "a hold keeps the object"),
    "userProjectMissing": (AccessDenied, "the requester pays here; set requester_pays in storage_options"),
    "rateLimitExceeded": (Unreachable, "the store asks to slow down"),
}

# Trying again does not help against these.
UNTRUSTED = {"SSLCertVerificationError", "CertificateError", "ClientConnectorCertificateError"}

# No connection was made. Not botocore's EndpointConnectionError, which it makes of one that broke, too.
NO_CONNECTION = {
    "CannotConnectError", "ClientConnectorError", "ClientConnectorDNSError", "ConnectTimeoutError", "gaierror",
}  # fmt: skip

# Whatever the code, another attempt may do better: all of 5xx but these, and these of 4xx.
PASS_NEVER = {"501", "505", "507"}
MAY_PASS = {"408", "425", "429", "499"}

# Names of exception classes, anywhere in the inheritance, checked in this order.
CLASSES: tuple[tuple[str, type[StorageError], str], ...] = (
    ("NoCredentialsError", AccessDenied, "no credentials found; put them in storage_options or the environment"),
    ("PartialCredentialsError", AccessDenied, "the credentials are incomplete; give both key and secret"),
    ("ProfileNotFound", AccessDenied, "the profile is not in the credentials file of this host"),
    ("DefaultCredentialsError", AccessDenied, "no credentials found; set token in storage_options"),  # google.auth's
    ("NonRetryableError", AccessDenied, "the credentials can't be renewed; renew them by hand"),  # gcsfs'
    ("TransportError", Unreachable, "the service that gives credentials does not answer"),  # google.auth's
    ("SSLError", Unreachable, "the TLS connection failed"),
    ("CannotConnectError", Unreachable, "can't connect; check endpoint, network and firewall"),  # our own
    ("ProxyConnectionError", Unreachable, "can't connect to the proxy; check its address and the firewall"),
    ("HTTPException", Unreachable, "the connection failed"),  # http.client's
    ("ConnectTimeoutError", Unreachable, "the host does not answer; check endpoint, network and firewall"),
    ("ReadTimeoutError", Unreachable, "the store stopped answering"),
    ("EndpointConnectionError", Unreachable, "can't connect; check endpoint, network and firewall"),
    ("ConnectionClosedError", Unreachable, "the store closed the connection"),
    ("HTTPClientError", Unreachable, "the connection failed"),
    ("ClientError", Unreachable, "the connection failed"),  # aiohttp's; botocore's has codes, see above
    ("NotImplementedError", StorageError, "this filesystem can't do that, so it can't hold backups"),
    ("FSTimeoutError", Unreachable, "the store did not answer in time"),
    ("TimeoutError", Unreachable, "the store did not answer in time"),
    ("FileNotFoundError", NotFound, "there is no such object"),
    ("PermissionError", AccessDenied, "permission denied"),
    ("ConnectionError", Unreachable, "the connection failed"),
    ("gaierror", Unreachable, "the host's name can't be resolved; check the URL or endpoint"),
    ("EOFError", Unreachable, "the connection ended early"),
)

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
