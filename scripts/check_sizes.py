"""Finds modules that are too long to be read at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 300
PRODUCT_LIMIT = 260
# The contract of all stores, and a store with its writer, are read together.
STORE_LIMIT = 420
_PATTERNS = (
    "*.py",
    "fsspec_gp_plugin/**/*.py",
    "fsspec_gp_plugin/**/*.c",
    "tests/**/*.py",
    "scripts/**/*.py",
    "benchmarks/**/*.py",
)
# Those that are longer as yet, and how long they may be. The list only ever gets shorter.
LONGER = {
    "tests/cli/test_deploy.py": 341,
    "tests/contract/test_azure_credentials.py": 346,
    "tests/contract/test_s3_gateways.py": 315,
    "tests/contract/test_transport.py": 371,
    "tests/protocol/test_replication.py": 359,
    "tests/unit/test_part_sizes.py": 317,
}


def problems(root: Path, longer: dict[str, int] = LONGER) -> Iterator[str]:
    """Each module with more lines than it may have, as a line of text; and those that need no exception any more."""
    lengths = {
        str(path.relative_to(root)): len(path.read_text().splitlines())
        for pattern in _PATTERNS
        for path in root.glob(pattern)
    }
    for name, lines in sorted(lengths.items()):
        limit = longer.get(name, _limit(name))
        if lines > limit:
            yield f"{name} has {lines} lines, and may have {limit}"
    for name in longer:
        if lengths.get(name, 0) <= LIMIT:
            yield f"{name} is no longer than {LIMIT} lines: take it out of the list in scripts/check_sizes.py"


def _limit(name: str) -> int:
    if name.startswith("fsspec_gp_plugin/storage/") and name.endswith(("/contract.py", "/store.py")):
        return STORE_LIMIT
    return PRODUCT_LIMIT if name.startswith("fsspec_gp_plugin/") else LIMIT


if __name__ == "__main__":
    sys.exit(documents.report("check_sizes", problems(Path.cwd())))
