"""SFTP: parts are written at their places in a file that stays open, many requests at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ....errors import AccessDenied, ConfigError, StorageError, Unreachable
from ...contract import TransportSecurity
from ..tree import TreeDialect, host_and_port, require_kinds, require_known
from .client import Sftp, SftpOutput, SftpTarget

if TYPE_CHECKING:
    from ....errors import PluginError

_POLICIES = ("reject", "auto_add", "warning")
# What paramiko's connect() takes, as far as a configuration file can say it.
_CONNECT = (
    "port", "username", "password", "passphrase", "key_filename", "allow_agent", "look_for_keys", "compress",
    "disabled_algorithms", "gss_auth", "gss_kex", "gss_deleg_creds", "gss_host", "gss_trust_dns",
)  # fmt: skip


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> SftpDialect:
    """The dialect for a URL. Raises ConfigError where URL and options can't work. Does not connect."""
    from fsspec.implementations.sftp import SFTPFileSystem

    require_known("sftp", options, SFTPFileSystem, *_CONNECT, "host_key_policy", "known_hosts", "timeout", "temppath")
    require_kinds("sftp", options, (str,), "host", "username", "password", "passphrase", "known_hosts")
    require_kinds("sftp", options, (str, list), "key_filename")
    require_kinds("sftp", options, (dict,), "disabled_algorithms")
    require_kinds("sftp", options, (int, float), "timeout")
    require_kinds("sftp", options, (bool,), "allow_agent", "look_for_keys", "compress")
    given = {**SFTPFileSystem._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    host, port = host_and_port("sftp", given, 22)
    policy = given.get("host_key_policy") or "reject"
    if policy not in _POLICIES:
        raise ConfigError(f"storage_options: host_key_policy of sftp:// must be one of {', '.join(_POLICIES)}")
    known = given.get("known_hosts")
    if known and not os.path.isfile(os.path.expanduser(known)):
        raise ConfigError(f"storage_options: the file {known} that known_hosts names does not exist on this host")
    keys = given.get("key_filename") or []
    for file in [keys] if isinstance(keys, str) else keys:
        if not os.path.isfile(os.path.expanduser(file)):
            raise ConfigError(f"storage_options: the file {file} that key_filename names does not exist on this host")
    connect = {name: given[name] for name in _CONNECT if given.get(name) is not None and name != "port"}
    if keys:
        connect["key_filename"] = [os.path.expanduser(file) for file in ([keys] if isinstance(keys, str) else keys)]
    seconds = float(given.get("timeout") or timeout)
    return SftpDialect(SftpTarget(host, port, connect, policy == "reject", known, seconds))


class SftpDialect(TreeDialect):
    """Files of an SFTP server."""

    deletions_at_once = 4
    resumes = True
    positional = True
    creates = True
    directories_first = False

    def __init__(self, target: SftpTarget) -> None:
        """Connects to nothing yet."""
        super().__init__(lambda: Sftp(target), target.timeout, f"sftp://{target.host}")
        self._target = target
        self.transport_security = TransportSecurity(target.host, is_encrypted=True, is_verified=target.check_host_key)

    def explain(self, error: Exception, doing: str) -> PluginError | None:
        name, text = type(error).__name__, str(error).strip().partition("\n")[0]
        host, port = self._target.host, self._target.port
        scan = f"`ssh-keyscan -p {port} {host}`"
        if name == "BadHostKeyException":
            return StorageError(
                f"{doing}: the key of the host {host} is not the one in known_hosts; find out why before you replace "
                f"that line by what {scan} says"
            )
        if name == "SSHException" and "not found in known_hosts" in text:
            return StorageError(
                f"{doing}: the key of the host {host} is not known; compare what {scan} says with the server and add "
                "it to ~/.ssh/known_hosts, or to the file that known_hosts in storage_options names"
            )
        if name == "PasswordRequiredException":
            return AccessDenied(f"{doing}: the private key is encrypted; set passphrase in storage_options")
        if name in ("AuthenticationException", "BadAuthenticationType") or "No authentication methods" in text:
            return AccessDenied(f"{doing}: the log-in failed; check username, key_filename or password ({text})")
        if name == "NoValidConnectionsError":
            return Unreachable(f"{doing}: can't connect; check host, port and firewall ({host}:{port})")
        if name in ("SSHException", "IncompatiblePeer", "ProxyCommandFailure", "ChannelException", "SFTPError"):
            return Unreachable(f"{doing}: the connection failed ({text or name})")
        if isinstance(error, OSError) and error.errno is None and not isinstance(error, FileNotFoundError):
            # The connection's end as paramiko tells it, or the server's only word for whatever else went wrong.
            if not text or "closed" in text.lower() or isinstance(error, TimeoutError):
                return Unreachable(f"{doing}: the connection failed ({text or name})")
            return StorageError(f"{doing}: the server refused it ({text}); is its disk full, or a quota used up?")
        return None

    def create(self, fs: Sftp, path: str) -> SftpOutput:
        return fs.create(path)

    def resume(self, fs: Sftp, path: str) -> SftpOutput:
        return fs.resume(path)

    def rename_if_free(self, fs: Sftp, working: str, final: str) -> None:
        fs.rename_if_free(working, final)
