"""Masks secrets in all text that leaves this program: log lines, messages, reports.

Two nets: the very values that the configuration marks as secret are registered at loading and removed
wherever they appear; patterns catch secrets that were never ours to register, such as a signature in
a URL that a library quotes in its error.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "***"

# Keys whose values are secret, in any mapping of options, compared in lower case and with "_" for "-" and blanks.
_SECRET_KEY = re.compile(
    r"(secret|passw(or)?d|passphrase|passcode|token|cred(s|ential)|private_?key|account_?key|access_?key(?!_?id)"
    r"|sas|signature|connection_?string|authorization|sse_?customer_?key|api_?key|encryption_?key|shared_?key|cookie"
    r"|assertion|jwt|bearer|keytab|userpwd|(?<![a-z])login$|auth$|(?<!public)(?<!host)_key$)"
)
_SECRET_KEYS_EXACTLY = {"key_b64", "pkey", "pw", "pass", "pwd", "pin", "refresh", "acct", "fsspec_gp_plugin"}
# Names that look secret but say only where or how.
_NOT_SECRET = {"token_uri", "password_encryption", "remote_password_encryption"}

# Each of them is linear in the text: no part of one can be looked for again from many places.
_PATTERNS = [
    (re.compile(r"(?i)(age-secret-key-)[0-9a-z]+"), rf"\1{MASK}"),
    (re.compile(r"(://[^/\s:@]{0,512}:)[^@\s/]+(?=@)"), rf"\1{MASK}"),
    (
        re.compile(
            r"(?i)((?:[?&]|&amp;)(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
            r"|signature|sig|awsaccesskeyid|access_token)=)[^&\s'\"]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)[^\r\n]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:account|shared ?access)(?:key|signature)\s*=\s*)[^;\s]+"), rf"\1{MASK}"),
    (
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
    ),
]

# The password in a URL or, as proxies are named, in what stands behind its scheme.
_LOGIN = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/\s:@]*:(\S+)@[^@]+$")

# The secret part of values that are secret as a whole, such as connection strings; it may also appear alone.
_PART = re.compile(r"(?i)(?:^|[?&;])(?:accountkey|sharedaccesssignature|sig|signature|password|pwd)=([^;&\s]+)")

# gcsfs gives ways to find a credential under the name "token"; a path says only where a secret lies.
_WAYS_NOT_SECRETS = {"anon", "browser", "cache", "cloud", "google_default"}

# Characters of a secret: to mask shorter ones wherever they stand garbles all text.
LEAST = 4
# Of a longer secret, such as a private key, each line is one as well: messages are often cut into lines.
_LEAST_LINE = 16
# Of a shorter one so little is certain in base64 that it may be part of other words.
_LEAST_IN_BASE64 = 8

_known: set[str] = set()
# The same, the longest first, as one may hold another.
_ordered: list[str] = []


def is_secret_key(name: str) -> bool:
    """Return whether values of that option must never be shown."""
    name = re.sub(r"[-\s]", "_", name.lower())
    if name in _NOT_SECRET:
        return False
    return name in _SECRET_KEYS_EXACTLY or _SECRET_KEY.search(name) is not None


def register(value: str) -> None:
    """Remember one secret value, in all its forms. Values under 4 characters are left out: masking them
    garbles all text.
    """
    if len(value) < LEAST or value in _WAYS_NOT_SECRETS or (value.startswith("/") and os.path.isfile(value)):
        return
    parts = [value, *_PART.findall(value), *(line for line in value.splitlines() if len(line) >= _LEAST_LINE)]
    found = {form for part in parts for form in forms_of(part)} - _known
    if found:
        _known.update(found)
        _ordered[:] = sorted(_known, key=len, reverse=True)


def forms_of(value: str) -> Iterator[str]:
    """Return the forms of a value in texts: plain, quoted in URLs, Python and JSON, and in base64."""
    for one in {value, unquote(value)}:
        yield from _forms(one)


def _forms(value: str) -> Iterator[str]:
    yield from (value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1])
    if not (value.isascii() and value.isprintable()) or "\\" in value or '"' in value:
        import json  # else it has nothing to escape

        yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    data = value.encode("utf-8", "surrogateescape")
    if len(data) < _LEAST_IN_BASE64:
        return
    # It may stand behind something else, such as a user's name; the characters at its ends then hold bits of others.
    for before in range(3):
        length = before + len(data)
        text = b64encode(b"\0" * before + data).decode()[(0, 2, 3)[before] : length * 8 // 6]
        yield from (text, text.replace("+", "-").replace("/", "_"))


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
    """Return a nested mapping of options with every secret value masked, known or not."""
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
    """Return the text without anything that is a known secret or looks like one."""
    for value in _ordered:
        text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def in_one_line(text: str) -> str:
    """Return the text in one line and without control characters, whatever a store has put into it.

    Bytes that are no UTF-8 stay, as surrogates.
    """
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?" for c in " ".join(text.splitlines()))
