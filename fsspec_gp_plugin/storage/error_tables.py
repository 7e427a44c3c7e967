"""Tables of what error codes, HTTP statuses and exception classes mean: this package's error, and where to look."""

from __future__ import annotations

from ..errors import AccessDenied, CredentialsEnded, NotFound, ObjectChanged, StorageError, Unreachable

PROXY_LOGIN = "the proxy wants other credentials; check the user and the password in its URL"

_EXPIRED = "the session token has expired; renew the credentials"
_NOT_VALID = "the token is not valid; renew the credentials"

# Error codes of Azure Blob Storage that S3 does not have.
_AZURE: dict[str, tuple[type[StorageError], str]] = {
    "BlobNotFound": (NotFound, "there is no such object"),
    "ResourceNotFound": (NotFound, "there is no such object"),
    "PathNotFound": (NotFound, "there is no such object"),
    "ContainerNotFound": (StorageError, "the container does not exist; create it or correct `url`"),
    "ContainerBeingDeleted": (StorageError, "the container is being deleted"),
    "InvalidResourceName": (StorageError, "the name of the container or of the object is not valid; correct `url`"),
    "AuthenticationFailed": (
        AccessDenied, "the credentials are not accepted; check key, signature or token, and this host's clock",
    ),
    "AuthorizationFailure": (
        AccessDenied, "the credentials don't allow this request, or the account's firewall keeps this host out",
    ),
    "AuthorizationPermissionMismatch": (AccessDenied, "the role or the signature does not allow this request"),
    "AuthorizationProtocolMismatch": (AccessDenied, "the signature allows no requests by this protocol"),
    "AuthorizationResourceTypeMismatch": (AccessDenied, "the signature is not for requests on objects"),
    "AuthorizationServiceMismatch": (AccessDenied, "the signature is not for the Blob service"),
    "AuthorizationSourceIPMismatch": (AccessDenied, "the signature is not for this host's address"),
    "InvalidAuthenticationInfo": (
        CredentialsEnded, "the token has expired, or can't be understood; check key, signature or token",
    ),
    "NoAuthenticationInformation": (AccessDenied, "no credentials were given; put them in storage_options"),
    "KeyBasedAuthenticationNotPermitted": (
        AccessDenied, "the account allows neither its key nor signatures of it; use an identity",
    ),
    "PublicAccessNotPermitted": (AccessDenied, "the account lets nobody in without credentials"),
    "InsufficientAccountPermissions": (AccessDenied, "the account does not allow this request"),
    "AccountIsDisabled": (AccessDenied, "the account is disabled"),
    "ConditionNotMet": (ObjectChanged, "the object was replaced while it was being read"),
    "ServerBusy": (Unreachable, "the store asks to slow down"),
    "OperationTimedOut": (Unreachable, "the store did not answer in time"),
    "Md5Mismatch": (Unreachable, "the bytes were changed on their way"),
    "Crc64Mismatch": (Unreachable, "the bytes were changed on their way"),
    "InvalidBlockList": (StorageError, "blocks of the upload are gone: somebody else has written the object meanwhile"),
    "InvalidBlobOrBlock": (
        StorageError, "another program has left blocks there; the service drops them after a week",
    ),
    "BlockCountExceedsLimit": (
        StorageError, "too many blocks of uploads that were given up are there; the service drops them after a week",
    ),
    "InvalidBlobType": (StorageError, "there is an object of that name that is no block blob; remove it"),
    "BlobImmutableDueToPolicy": (StorageError, "it is retained: an immutability policy or a legal hold protects it"),
    "ContainerImmutableDueToPolicy": (StorageError, "it is retained: the container has an immutability policy"),
    "LeaseIdMissing": (StorageError, "somebody has a lease on it; end the lease"),
    "BlobArchived": (StorageError, "it is in the archive tier; move it to another before it can be read"),
    "BlobBeingRehydrated": (StorageError, "it is on its way out of the archive tier, which takes hours"),
    "AccountBeingCreated": (Unreachable, "the account is being created"),
}  # fmt: skip

# Error codes of S3 and compatible stores, and HTTP statuses for responses without a code.
CODES: dict[str, tuple[type[StorageError], str]] = {
    "NoSuchKey": (NotFound, "there is no such object"),
    "404": (NotFound, "there is no such object"),
    "NotFound": (NotFound, "there is no such object"),
    "NoSuchBucket": (StorageError, "the bucket does not exist; create it or correct `url`"),
    "InvalidBucketName": (StorageError, "the bucket's name is not valid; correct `url`"),
    "AccessDenied": (AccessDenied, "access denied; the credentials don't allow this request"),
    "403": (AccessDenied, "access denied; check the credentials in storage_options and the bucket's policy"),
    "401": (AccessDenied, "access denied; check the credentials in storage_options"),
    "411": (StorageError, "the server wants to know an upload's size beforehand, so it can't hold backups"),
    "507": (StorageError, "the server's disk is full, or the quota used up"),
    "407": (AccessDenied, PROXY_LOGIN),
    "InvalidAccessKeyId": (AccessDenied, "the access key is not known there; check `key` in storage_options"),
    "SignatureDoesNotMatch": (AccessDenied, "the secret key does not match; check `secret` in storage_options"),
    "ExpiredToken": (CredentialsEnded, _EXPIRED),
    "ExpiredTokenException": (CredentialsEnded, _EXPIRED),
    "RequestExpired": (CredentialsEnded, _EXPIRED),
    "TokenRefreshRequired": (CredentialsEnded, _EXPIRED),
    "InvalidToken": (CredentialsEnded, _NOT_VALID),  # HDFS', too
    "InvalidTokenId": (CredentialsEnded, _NOT_VALID),  # MinIO's word for it
    "authError": (CredentialsEnded, "the token has expired, or is not valid; renew it"),  # Google's
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
    "ConditionalRequestConflict": (Unreachable, "another request on the same object is under way"),
    "OperationAborted": (Unreachable, "another request on the same object is under way"),
    "BadDigest": (Unreachable, "the bytes were changed on their way"),
    "IncompleteBody": (Unreachable, "not all bytes arrived"),
    "XAmzContentChecksumMismatch": (Unreachable, "the bytes were changed on their way"),
    "XAmzContentSHA256Mismatch": (Unreachable, "the bytes were changed on their way"),
    "XMinioStorageFull": (StorageError, "the store is full"),
    "EntityTooLarge": (StorageError, "the store refuses an object of this size"),
    **_AZURE,
}

# Reasons of Google's JSON API that say more than the status.
CODES |= {
    "retentionPolicyNotMet": (StorageError, "a retention policy keeps the object"),
    "objectUnderActiveHold": (StorageError, "a hold keeps the object"),
    "userProjectMissing": (AccessDenied, "the requester pays here; set requester_pays in storage_options"),
    "rateLimitExceeded": (Unreachable, "the store asks to slow down"),
}

# Remote exceptions of HDFS.
_HDFS_HELD = "another client still holds the file open; HDFS takes that back when it knows that one to be gone"
CODES.update(
    {
        "AccessControlException": (AccessDenied, "access denied; check `user` in storage_options and the permissions"),
        "SecurityException": (AccessDenied, "access denied; check `user`, `token` or `kerberos` in storage_options"),
        "FileNotFoundException": (NotFound, "there is no such object"),
        "AlreadyBeingCreatedException": (Unreachable, _HDFS_HELD),
        "RecoveryInProgressException": (Unreachable, _HDFS_HELD),
        "LeaseExpiredException": (Unreachable, "the file was taken from its writer"),
        "SafeModeException": (Unreachable, "the name node is in safe mode"),
        "StandbyException": (Unreachable, "the name node is on standby; name the active one in `url`"),
        "RetriableException": (Unreachable, "the name node is not ready"),
        "ConnectException": (Unreachable, "a node of the cluster can't be reached"),
        "NSQuotaExceededException": (StorageError, "the directory's quota of names is used up"),
        "DSQuotaExceededException": (StorageError, "the directory's quota of space is used up"),
        "ParentNotDirectoryException": (StorageError, "a part of the path is a file, not a directory"),
    }
)

# By the code of an FTP server's reply.
FTP: dict[str, tuple[type[StorageError], str]] = {
    "452": (StorageError, "the server's disk is full, or the quota used up"),
    "552": (StorageError, "the server's disk is full, or the quota used up"),
    "530": (AccessDenied, "the log-in failed; check `username` and `password` in storage_options"),
    "532": (AccessDenied, "the server wants an account; put `acct` into storage_options"),
    "533": (AccessDenied, "the server wants TLS; set `tls: true` in storage_options"),
    "534": (AccessDenied, "the server wants TLS; set `tls: true` in storage_options"),
    "553": (AccessDenied, "the server does not allow this name"),
}

# Texts beside FTP's 550, which is its only code for everything that is wrong with a file.
DENIED = "(?i)denied|privilege|permi|not allowed|read.only"

# A retry does not help against these.
UNTRUSTED = {"SSLCertVerificationError", "CertificateError", "ClientConnectorCertificateError"}

# There was no connection. Without botocore's EndpointConnectionError, which is also raised for one that broke.
NO_CONNECTION = {
    "CannotConnectError", "ClientConnectorError", "ClientConnectorDNSError", "ConnectTimeoutError", "gaierror",
}  # fmt: skip

# Whatever the code, a retry may help: after every 5xx but these, and after these of 4xx.
PASS_NEVER = {"501", "505", "507"}
MAY_PASS = {"408", "425", "429", "499"}

# Names of exception classes, with or without their module, anywhere in the inheritance, checked in this order.
CLASSES: tuple[tuple[str, type[StorageError], str], ...] = (
    ("NoCredentialsError", CredentialsEnded, "no credentials found; put them in storage_options or the environment"),
    ("PartialCredentialsError", AccessDenied, "the credentials are incomplete; give both key and secret"),
    ("ProfileNotFound", AccessDenied, "the profile is not in the credentials file of this host"),
    ("InvalidConfigError", AccessDenied, "the profile's settings can't be used"),  # botocore's, as the next ones
    ("ConfigParseError", AccessDenied, "the credentials file can't be read"),
    ("CredentialRetrievalError", CredentialsEnded, "the credentials can't be had"),
    ("MetadataRetrievalError", CredentialsEnded, "the service that gives credentials does not answer"),
    ("TokenRetrievalError", CredentialsEnded, "the credentials can't be had"),
    ("SSOError", CredentialsEnded, "the credentials can't be had; log in anew"),
    ("DefaultCredentialsError", AccessDenied, "no credentials found; set token in storage_options"),  # google.auth's
    ("NonRetryableError", AccessDenied, "the credentials can't be renewed; renew them by hand"),  # gcsfs'
    ("GoogleAuthError", CredentialsEnded, "the service that gives credentials does not answer"),
    ("NoTokenError", AccessDenied, "no token can be had for requests to the store"),
    ("NoTokenYetError", CredentialsEnded, "no token can be had at the moment"),
    ("SignatureEndedError", CredentialsEnded, "the shared access signature has ended; get another one"),  # Azure's
    ("ForeignAnswerError", Unreachable, "the answer is not the store's"),
    ("ResponseParserError", Unreachable, "the answer is not the store's"),  # botocore's
    ("SSLError", Unreachable, "the TLS connection failed"),
    ("CannotConnectError", Unreachable, "can't connect; check endpoint, network and firewall"),  # our own
    ("ProxyConnectionError", Unreachable, "can't connect to the proxy; check its address and the firewall"),
    ("HTTPException", Unreachable, "the connection failed"),  # http.client's
    ("ConnectTimeoutError", Unreachable, "the host does not answer; check endpoint, network and firewall"),
    ("ReadTimeoutError", Unreachable, "the store stopped answering"),
    ("EndpointConnectionError", Unreachable, "can't connect; check endpoint, network and firewall"),
    ("ConnectionClosedError", Unreachable, "the store closed the connection"),
    ("HTTPClientError", Unreachable, "the connection failed"),
    ("ResourceNotFound", NotFound, "there is no such object"),  # webdav4's, to its last
    ("ForbiddenOperation", AccessDenied, "the server does not allow this"),
    ("InsufficientStorage", StorageError, "the server's disk is full, or the quota used up"),
    ("ResourceConflict", StorageError, "the directory does not exist"),
    ("ResourceLocked", StorageError, "another client has locked it"),
    ("IsACollectionError", StorageError, "there is a directory of that name"),
    ("ResourceAlreadyExists", StorageError, "there is something of that name"),
    ("BadGatewayError", Unreachable, "the gateway before the store got no answer"),
    ("MultiStatusError", StorageError, "the server did a part of it only"),
    ("ClientError", Unreachable, "the connection failed"),  # aiohttp's; botocore's has codes, see above
    ("ServiceRequestError", Unreachable, "can't connect; check the network and the firewall"),  # azure-core's
    ("ServiceResponseError", Unreachable, "the connection failed"),
    ("NotImplementedError", StorageError, "this filesystem can't do that, so it can't hold backups"),
    ("FSTimeoutError", Unreachable, "the store did not answer in time"),
    ("TimeoutError", Unreachable, "the store did not answer in time"),
    ("FileNotFoundError", NotFound, "there is no such object"),
    ("PermissionError", AccessDenied, "permission denied"),
    ("ConnectionError", Unreachable, "the connection failed"),
    ("gaierror", Unreachable, "the host's name can't be resolved; check the URL or endpoint"),
    ("EOFError", Unreachable, "the connection ended early"),
    ("SMBAuthenticationError", AccessDenied, "the log-in failed; check `username` and `password` in storage_options"),
    ("SMBUnsupportedFeature", StorageError, "the server speaks too old an SMB for this"),
    ("SMBResponseException", StorageError, "the server refused it"),
    ("SMBException", Unreachable, "the connection failed"),
    ("TransportError", Unreachable, "the connection failed"),  # httpx's
)
