"""Encrypted values among the storage options, which `password_encryption: on` unlocks.

An encrypted value is `encrypted:` and a Fernet token (AES-128 in CBC mode with a random IV, authenticated by
HMAC-SHA256, https://github.com/fernet/spec) of the value's UTF-8. Its key, 32 random bytes in URL-safe base64, stands
as `fsspec_gp_plugin: KEY` in the file `.encrypt` in the coordinator's data directory, from where gpbackup passes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..private import read_file
from ..redaction import register

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "encrypted:"
KEY_NAME = "fsspec_gp_plugin"
_HOW = f"`{KEY_NAME} encrypt-secret` makes keys and encrypted values"


def encrypted(secret: str, key: str) -> str:
    """The value to stand in the configuration instead of a secret; ConfigError for what is no key."""
    return PREFIX + str(_cipher(key).encrypt(secret.encode()).decode())


def new_key() -> str:
    """A key that nobody can guess."""
    from cryptography.fernet import Fernet

    return str(Fernet.generate_key().decode())


def decrypted(options: Any, key: str, environ: Mapping[str, str]) -> Any:
    """The options with every encrypted value in clear; ConfigError that quotes none of them.

    Without a `key` that of the coordinator's file is used, where there is one on this host.
    """
    if not _has_encrypted(options):
        return options
    key = key or read_key(key_file(environ)) or ""
    if not key:
        raise ConfigError(
            "storage_options hold encrypted values, but there is no key to them: set `password_encryption: on`, "
            f"so that gpbackup passes the one in the coordinator's file .encrypt; {_HOW}"
        )
    register(key)
    cipher = _cipher(key)

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: walk(child) for name, child in node.items()}
        if isinstance(node, list):
            return [walk(child) for child in node]
        return _opened(node, cipher) if isinstance(node, str) and node.startswith(PREFIX) else node

    return walk(options)


def key_file(environ: Mapping[str, str]) -> str | None:
    """Where gpbackup looks for keys; None where the environment doesn't tell."""
    folder = environ.get("COORDINATOR_DATA_DIRECTORY") or environ.get("MASTER_DATA_DIRECTORY")
    return f"{folder}/.encrypt" if folder else None


def read_key(path: str | None) -> str | None:
    """The key of this plugin in gpbackup's file; None when there is none. ConfigError where others may read it."""
    import os

    import yaml

    if path is None or not os.path.exists(path):
        return None
    try:
        found = yaml.safe_load(read_file(path))
    except yaml.YAMLError:
        raise ConfigError(f"{path} is not YAML; expected lines `NAME: KEY`") from None
    key = found.get(KEY_NAME) if isinstance(found, dict) else None
    return None if key is None else str(key)


def _cipher(key: str) -> Any:
    from cryptography.fernet import Fernet

    try:
        return Fernet(key.strip())
    except ValueError:
        raise ConfigError(f"the key of encrypted values is none of this plugin's: {_HOW}") from None


def _opened(value: str, cipher: Any) -> str:
    from cryptography.fernet import InvalidToken

    try:
        secret = str(cipher.decrypt(value.removeprefix(PREFIX).strip().encode(errors="replace")).decode())
    except (InvalidToken, ValueError):
        raise ConfigError(
            f"an encrypted value among storage_options does not belong to the key, or is damaged; {_HOW}"
        ) from None
    register(secret)
    return secret


def _has_encrypted(node: Any) -> bool:
    if isinstance(node, dict):
        return any(map(_has_encrypted, node.values()))
    if isinstance(node, list):
        return any(map(_has_encrypted, node))
    return isinstance(node, str) and node.startswith(PREFIX)
