"""URL and options → Store: the one place where a provider is chosen, and made patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, PluginError
from .errors import translated
from .retry import RetryingStore

if TYPE_CHECKING:
    from .contract import Store
    from .failing_reads import Reads
    from .patience import Patience

# Where a package is missing, what of pyproject.toml brings it.
_EXTRAS = {"sftp": "sftp", "ssh": "sftp", "smb": "smb", "webdav": "webdav"}


def open_store(url: str, options: dict[str, Any], *, timeout: float = 60.0, patience: Patience | None = None) -> Store:
    """The store below the URL; raises ConfigError where URL and options can't work, before any request.

    `timeout`: seconds for which a request may stand still. `patience`: how requests are repeated; None: not at all.
    """
    protocol = url.partition("://")[0]
    if protocol in ("file", "local"):
        return _open_local(url, options)
    store = _open_remote(protocol, url, options, timeout)
    return store if patience is None else patient(store, patience)


def patient(store: Store, patience: Patience, reads: Reads | None = None) -> Store:
    """The store, made to repeat what failed for a time; not where it is a disk, which does not come back by waiting."""
    return store if store.files is not None else RetryingStore(store, patience, reads)


def _open_remote(protocol: str, url: str, options: dict[str, Any], timeout: float) -> Store:
    try:
        if protocol in ("s3", "s3a"):
            from .s3.open import open_s3

            return open_s3(url, options, timeout)
        if protocol in ("gs", "gcs"):
            from .gcs.open import open_gcs

            return open_gcs(url, options, timeout)
        if protocol in ("abfs", "abfss", "az"):
            from .azure.open import open_azure

            return open_azure(url, options, timeout)
        _require_known(protocol)
        from .files.open import open_files

        return open_files(url, options, timeout)
    except PluginError:
        raise
    except ImportError as error:
        extra = f"fsspec_gp_plugin[{_EXTRAS[protocol]}]" if protocol in _EXTRAS else "it"
        raise ConfigError(
            f"the protocol {protocol!r} needs a package that is not installed: {error}; install {extra} into the "
            "plugin's environment with `pip`"
        ) from None
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"storage_options don't fit {protocol}://: {error}") from None
    except Exception as error:  # some filesystems connect as soon as they are made
        raise translated(error, f"can't open {url}") from error


def _open_local(url: str, options: dict[str, Any]) -> Store:
    from .local.store import LocalStore

    path = url.partition("://")[2]
    if not path.startswith("/"):
        raise ConfigError(f"url {url!r} must hold an absolute path: file:///directory")
    for name in options:
        if name != "auto_mkdir":
            raise ConfigError(f"storage_options: file:// knows no option {name!r}, only auto_mkdir")
    make_root = options.get("auto_mkdir", True)
    if not isinstance(make_root, bool):
        raise ConfigError("storage_options: auto_mkdir must be true or false")
    return LocalStore(path, make_root=make_root)


def _require_known(protocol: str) -> None:
    from difflib import get_close_matches

    import fsspec

    known = fsspec.available_protocols()
    if protocol not in known:
        near = get_close_matches(protocol.lower(), known, n=1, cutoff=0.5)
        raise ConfigError(f"fsspec knows no protocol {protocol!r}" + (f"; did you mean {near[0]}://?" if near else ""))
