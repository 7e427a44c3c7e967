"""One scrub() for whatever leaves this program as text: log lines, messages, reports.

Two nets: the very values that the configuration marks as secret are registered at loading and removed
wherever they appear; patterns catch secrets that were never ours to register, such as a signature in
a URL that a library quotes in its error.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

# Keys whose values are secret, in any mapping of options, compared in lower case.
_SECRET_KEY = re.compile(
    r"(secret|passw(or)?d|passphrase|token|credential|private_?key|account_?key|access_?key(?!_?id)"
    r"|sas|signature|connection_?string|authorization|sse_?customer_?key|api_?key|cookie|assertion|jwt"
    r"|(?<![a-z])auth$)"
)
_SECRET_KEYS_EXACTLY = {"key_b64", "pkey", "pw", "pass", "pwd", "fsspec_gp_plugin"}
# Names that look secret but say only where or how.
_NOT_SECRET = {"token_uri", "password_encryption", "remote_password_encryption"}

_PATTERNS = [
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]*:)[^@\s/]+(?=@)"), rf"\1{MASK}"),
    (
        re.compile(
            r"(?i)((?:[?&]|&amp;)(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
            r"|signature|sig|awsaccesskeyid|access_token)=)[^&\s'\"]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)[^\r\n]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:account|shared ?access)(?:key|signature)\s*=\s*)[^;\s]+"), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
]

# The password in a URL or, as proxies are named, in what stands behind its scheme.
_LOGIN = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/\s:@]*:(\S+)@[^@]+$")

# What is secret in a value that is secret as a whole, such as a connection string, and may be told without the rest.
_PART = re.compile(r"(?i)(?:^|[?&;])(?:accountkey|sharedaccesssignature|sig|signature|password|pwd)=([^;&\s]+)")

# gcsfs gives ways to find a credential under the name "token"; a path says only where a secret lies.
_WAYS_NOT_SECRETS = {"anon", "browser", "cache", "cloud", "google_default"}

_known: set[str] = set()


def is_secret_key(name: str) -> bool:
    """Whether a value of that option name must never be shown."""
    name = name.lower()
    if name in _NOT_SECRET:
        return False
    return name in _SECRET_KEYS_EXACTLY or _SECRET_KEY.search(name) is not None


def register(value: str) -> None:
    """Remember one secret value. Values under 4 characters are left out: masking them garbles all text."""
    if len(value) >= 4 and value not in _WAYS_NOT_SECRETS and not (value.startswith("/") and os.path.isfile(value)):
        _known.update({value, quote(value, safe=""), quote_plus(value)})
        for part in _PART.findall(value):
            _known.update({part, unquote(part), quote(part, safe="")})


def register_secrets(options: Any, *, secret: bool = False) -> None:
    """Remember each secret value in a nested mapping of options."""
    if isinstance(options, dict):
        for key, value in options.items():
            # s3fs calls its secret access key "secret" and its access key id "key": mask both there.
            paired = key == "key" and "secret" in options
            register_secrets(value, secret=secret or paired or is_secret_key(str(key)))
    elif isinstance(options, (list, tuple)):
        for value in options:
            register_secrets(value, secret=secret)
    elif secret and isinstance(options, bytes):
        register(b64encode(options).decode())  # the form in which it travels
    elif secret and isinstance(options, (str, int)) and not isinstance(options, bool):
        register(str(options))
    elif isinstance(options, str) and (login := _LOGIN.match(options)):
        register(login.group(1))
        register(unquote(login.group(1)))


def masked(options: Any, *, secret: bool = False) -> Any:
    """A nested mapping of options with every secret value in it masked, known or not."""
    if isinstance(options, dict):
        return {
            key: masked(value, secret=secret or (key == "key" and "secret" in options) or is_secret_key(str(key)))
            for key, value in options.items()
        }
    if isinstance(options, (list, tuple)):
        return [masked(value, secret=secret) for value in options]
    if secret and options not in (None, "", True, False):
        return MASK
    if isinstance(options, str):
        login = _LOGIN.match(options)
        return scrub(options.replace(login.group(1), MASK) if login else options)
    return MASK if isinstance(options, bytes) else options


def scrub(text: str) -> str:
    """The text without any secret that is known or looks like one."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
