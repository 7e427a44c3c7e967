"""Compares the layers that texts tell of with those in pyproject.toml, which import-linter holds the code to.

A text tells them as a chain, `dispatch → … → protocol, cli → …`: from the top, with commas between those of one layer.
"""

from __future__ import annotations

import re
import sys
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from importlinter.api import read_configuration

from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = ("docs/architecture.md", "fsspec_gp_plugin/__init__.py")
_NAME = re.compile(r"\w+")
_NAMES = r"\w+(?:,\s+\w+)*"
_CHAIN = re.compile(rf"{_NAMES}(?:\s+→\s+{_NAMES}){{2,}}")


def problems(root: Path) -> Iterator[str]:
    """Each text whose chain is missing or another one, as a line."""
    contracts = read_configuration(str(root / "pyproject.toml"))["contracts_options"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    held = [set(re.findall(r"\w+", layer)) for layer in layers]
    for name in TEXTS:
        # Other chains, such as journal → manifest → catalog, name no layer.
        chains = [
            chain for chain in _CHAIN.findall((root / name).read_text()) if set.union(*held) & set(_NAME.findall(chain))
        ]
        if not chains:
            yield f"{name} tells no chain of layers"
        for chain in chains:
            told = [set(re.findall(r"\w+", layer)) for layer in chain.split("→")]
            for number, (one, other) in enumerate(zip_longest(told, held, fillvalue=set[str]()), 1):
                if one != other:
                    yield f"{name}: layer {number} is {_said(one)}, in pyproject.toml {_said(other)}"
                    break


def _said(layer: set[str]) -> str:
    return ", ".join(sorted(layer)) or "missing"


if __name__ == "__main__":
    sys.exit(documents.report("check_layers", problems(Path.cwd())))
