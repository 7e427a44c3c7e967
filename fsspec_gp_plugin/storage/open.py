"""Opens the Store of a URL and its storage options, with the code of the URL's provider."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, PluginError
from ..providers import OTHER, Provider, provider_of, scheme_of
from .errors import translated
from .retry import with_retries

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Store
    from .retry_policy import RetryPolicy


def open_store(url: str, options: dict[str, Any], *, timeout: float = 60.0, policy: RetryPolicy | None = None) -> Store:
    """Return the store below the URL. Raises ConfigError, before any request, where URL and options can't work.

    `timeout`: seconds without progress after which a request fails. `policy`: how requests are retried; None: not.
    """
    provider = provider_of(scheme_of(url))
    try:
        if provider is OTHER:
            _require_known(scheme_of(url))
        store = _opener_of(provider)(url, options, timeout)
    except PluginError:
        raise
    except ImportError as error:
        package = f"fsspec_gp_plugin[{provider.extra}]" if provider.extra else "it"
        raise ConfigError(
            f"the protocol {scheme_of(url)!r} needs a package that is not installed: {error}; install {package} into "
            "the plugin's environment with `pip`"
        ) from None
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"storage_options don't fit {scheme_of(url)}://: {error}") from None
    except Exception as error:  # some filesystems connect as soon as they are made
        raise translated(error, f"can't open {url}") from error
    return store if policy is None else with_retries(store, policy)


def _opener_of(provider: Provider) -> Callable[[str, dict[str, Any], float], Store]:
    module, _, function = provider.opener.partition(":")
    opener: Callable[[str, dict[str, Any], float], Store] = getattr(import_module(f".{module}", __package__), function)
    return opener


def _require_known(scheme: str) -> None:
    from difflib import get_close_matches

    import fsspec

    known = fsspec.available_protocols()
    if scheme not in known:
        near = get_close_matches(scheme.lower(), known, n=1, cutoff=0.5)
        raise ConfigError(f"fsspec knows no protocol {scheme!r}" + (f"; did you mean {near[0]}://?" if near else ""))
