"""Finds links of the documents that lead nowhere: to a file that is not there, or to a heading that its document lacks.

Also documents that the code and the examples name. What lies elsewhere on the network is not asked for.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMING = ("fsspec_gp_plugin/**/*.py", "config_examples/*", "scripts/*", "benchmarks/*.py", "bin/*")


def problems(root: Path) -> Iterator[str]:
    """Each link that leads nowhere, as a line of text."""
    for document in documents.find(root):
        for link in documents.links(document):
            if why := _mistake(root, document, document.parent, link.text):
                yield f"{document.relative_to(root)}:{link.line}: {why}"
    for path in sorted(path for pattern in _NAMING for path in root.glob(pattern) if path.is_file()):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for name in re.findall(r"\bdocs/[\w/-]+\.\w+(?:#[\w-]+)?", line):
                if why := _mistake(root, path, root, name):
                    yield f"{path.relative_to(root)}:{number}: {why}"


def _mistake(root: Path, source: Path, folder: Path, address: str) -> str | None:
    """What is wrong with an address in a file, relative to a folder."""
    if re.match(r"[a-z][a-z0-9+.-]*:", address, re.IGNORECASE):
        return None
    name, _, anchor = address.partition("#")
    target = (folder / unquote(name)).resolve() if name else source
    if not target.is_relative_to(root.resolve()) or not target.exists():
        return f"there is no {address}"
    if anchor and (target.suffix != ".md" or anchor not in documents.anchors(target)):
        return f"there is no such heading: {address}"
    return None


if __name__ == "__main__":
    sys.exit(documents.report("check_links", problems(Path.cwd())))
