"""abfs://, abfss:// or az:// URL and adlfs' options → AzureStore."""

from __future__ import annotations

from typing import Any

from .account import open_account
from .options import check_types, place
from .requests import Blobs
from .store import AzureStore


def open_azure(url: str, options: dict[str, Any], timeout: float) -> AzureStore:
    """The store below a URL; the options are those of adlfs.AzureBlobFileSystem.

    Those of fsspec's configuration files, FSSPEC_ABFS_… and AZURE_STORAGE_… variables count below them, as in any
    fsspec program. `timeout`: seconds for which a request may stand still.
    """
    check_types(options)
    container, prefix, options = place(url, options)
    blobs = Blobs(open_account(options), container, timeout)
    finds = not any(options.get(name) for name in ("account_key", "sas_token", "connection_string"))
    return AzureStore(url.partition("://")[0], blobs, prefix, finds_credentials=finds)
