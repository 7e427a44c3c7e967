"""Encrypts and decrypts values of the storage options; needs `password_encryption: on`.

An encrypted value is `encrypted:` and a Fernet token (AES-128 in CBC mode with a random IV, authenticated by
HMAC-SHA256, https://github.com/fernet/spec) of the value in UTF-8. The key, 32 random bytes in URL-safe base64, is
the line `fsspec_gp_plugin: KEY` of the file `.encrypt` in the coordinator's data directory. gpbackup passes it on.
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
    """Encrypt a secret for the configuration file. Raises ConfigError if the key is invalid."""
    return PREFIX + str(_cipher(key).encrypt(secret.encode()).decode())


def new_key() -> str:
    """A new random key."""
    from cryptography.fernet import Fernet

    return str(Fernet.generate_key().decode())


def decrypt(options: Any, key: str, environ: Mapping[str, str]) -> Any:
    """Decrypt all encrypted values of the options. The messages of a ConfigError quote none of them.

    Without a `key`, the one in the coordinator's file is used, if this host has it.
    """
    if not _has_encrypted(options):
        return options
    key = key or read_key(key_file(environ)) or ""
    if not key:
        raise ConfigError(
            "storage_options contain encrypted values, but there is no key for them: set `password_encryption: on`, "
            f"so that gpbackup passes the one in the coordinator's file .encrypt; {_HOW}"
        )
    register(key)
    cipher = _cipher(key)

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: walk(child) for name, child in node.items()}
        if isinstance(node, list):
            return [walk(child) for child in node]
        return _decrypt_value(node, cipher) if isinstance(node, str) and node.startswith(PREFIX) else node

    return walk(options)


def key_file(environ: Mapping[str, str]) -> str | None:
    """The file in which gpbackup looks for keys; None if the environment does not name its directory."""
    folder = environ.get("COORDINATOR_DATA_DIRECTORY") or environ.get("MASTER_DATA_DIRECTORY")
    return f"{folder}/.encrypt" if folder else None


def read_key(path: str | None) -> str | None:
    """The plugin's key in gpbackup's file; None if there is none. Raises ConfigError if others may read the file."""
    import os

    import yaml

    if path is None or not os.path.exists(path):
        return None
    try:
        keys = yaml.safe_load(read_file(path))
    except yaml.YAMLError:
        raise ConfigError(f"{path} is not YAML; expected lines `NAME: KEY`") from None
    key = keys.get(KEY_NAME) if isinstance(keys, dict) else None
    return None if key is None else str(key)


def _cipher(key: str) -> Any:
    from cryptography.fernet import Fernet

    try:
        return Fernet(key.strip())
    except ValueError:
        raise ConfigError(f"the key for encrypted values is not a key of this plugin: {_HOW}") from None


def _decrypt_value(value: str, cipher: Any) -> str:
    from cryptography.fernet import InvalidToken

    try:
        secret = str(cipher.decrypt(value.removeprefix(PREFIX).strip().encode(errors="replace")).decode())
    except (InvalidToken, ValueError):
        raise ConfigError(
            f"an encrypted value in storage_options was encrypted with another key, or is damaged; {_HOW}"
        ) from None
    register(secret)
    return secret


def _has_encrypted(node: Any) -> bool:
    if isinstance(node, dict):
        return any(map(_has_encrypted, node.values()))
    if isinstance(node, list):
        return any(map(_has_encrypted, node))
    return isinstance(node, str) and node.startswith(PREFIX)
