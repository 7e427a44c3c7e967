"""WebHDFS: a file is created empty, and each part appended by a request of its own.

After a connection broke, HDFS keeps the file locked for the client that is gone until it notices that. Until then HDFS
refuses to append, and the file's size is not final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....errors import ConfigError, Unreachable
from ...contract import TransportSecurity
from ..output import AppendOutput
from ..tree import TreeDialect, host_and_port, require_kinds, require_known
from .client import HdfsError, WebHdfs

if TYPE_CHECKING:
    from ..output import Output

# Options for new files, and WebHDFS' names for them.
_CREATION = {
    "replication": "replication",
    "blocksize": "blocksize",
    "permission": "permission",
    "permissions": "permission",
}


def open_dialect(url: str, options: dict[str, Any], timeout: float) -> WebHdfsDialect:
    """The dialect for a URL. Raises ConfigError where URL and options can't work. Does not connect."""
    from fsspec.implementations.webhdfs import WebHDFS

    require_known("webhdfs", options, WebHDFS, *_CREATION, "timeout")
    require_kinds("webhdfs", options, (str,), "host", "token", "user", "password", "proxy_to")
    require_kinds("webhdfs", options, (bool,), "kerberos", "use_https")
    require_kinds("webhdfs", options, (dict,), "kerb_kwargs", "data_proxy")
    require_kinds("webhdfs", options, (bool, str), "session_verify")
    require_kinds("webhdfs", options, (str, list), "session_cert")
    require_kinds("webhdfs", options, (int, float), "timeout")
    require_kinds("webhdfs", options, (int, str), *_CREATION)
    given = {**WebHDFS._get_kwargs_from_urls(url), **options}  # noqa: SLF001
    host, port = host_and_port("webhdfs", given, 9870)
    creation = {_CREATION[name]: str(given.pop(name)) for name in _CREATION if given.get(name) is not None}
    timeout = float(given.pop("timeout", None) or timeout)
    if isinstance(given.get("session_cert"), list):
        given["session_cert"] = tuple(given["session_cert"])
    given |= {"host": host, "port": port, "skip_instance_cache": True}

    def make() -> WebHdfs:
        return WebHdfs(WebHDFS(**given), timeout, creation)

    try:
        make()  # it connects to nothing, but checks what fits together
    except ValueError as error:
        raise ConfigError(f"storage_options don't fit webhdfs://: {error}") from None
    dialect = WebHdfsDialect(make, timeout, f"webhdfs://{host}")
    dialect.transport_security = TransportSecurity(
        host, bool(given.get("use_https")), given.get("session_verify", True) is not False
    )
    return dialect


class WebHdfsDialect(TreeDialect):
    """Files of an HDFS."""

    deletions_at_once = 4
    resumes = True
    creates = True
    directories_first = False  # to create a file makes them

    def create(self, fs: WebHdfs, path: str) -> Output:
        fs.create(path)
        return AppendOutput(fs, path)

    def resume(self, fs: WebHdfs, path: str) -> Output:
        before = fs.last_size
        # HDFS refuses this while another client has the file; when it succeeds, nobody else adds to it any more.
        fs.append(path, memoryview(b""), 0)
        if (path, fs.size(path)) != before:
            raise Unreachable(f"the cluster was still busy with {path}")
        return AppendOutput(fs, path)

    def rename_if_free(self, fs: WebHdfs, working: str, final: str) -> None:
        if not fs.rename_if_free(working, final):
            raise FileExistsError(final)

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, HdfsError) and error.error_code == "FileNotFoundException"
