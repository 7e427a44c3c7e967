"""Checks the storage options of a provider before its library gets them, so that an error names the option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def parameters_of(*functions: Callable[..., Any]) -> set[str]:
    """Return the names of the functions' parameters, without self and without *args and **kwargs."""
    import inspect  # a call whose options are all known to this package needs neither this nor difflib

    return {
        name
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    } - {"self"}


def require_known(library: str, options: Mapping[str, Any], known: set[str]) -> None:
    """Raise ConfigError for an option that the library does not know, with the nearest known name."""
    for name in options:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"storage_options: {library} knows no option {name!r}{hint}")


def require_text(options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise ConfigError for an option of these names that YAML did not read as text."""
    for name in names:
        if not isinstance(options.get(name) or "", str):
            raise ConfigError(f"storage_options: the value of {name!r} is not text; put it in quotes")
