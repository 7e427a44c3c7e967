"""Measures how the package is built: circles, frames on the way of a byte, lists of protocols, lines and files.

`python -m scripts.check_house` reports what is over a limit; with `--figures [COMMIT]` it prints all figures, beside
those of a commit if one is given.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

from fsspec_gp_plugin.providers import PROVIDERS
from scripts import documents
from scripts.trace_backup import trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = "fsspec_gp_plugin"
MOST_FRAMES = 18
MOST_README_LINES = 130
# The page that shows these frames.
MAP = "docs/architecture.md"
# The table of providers. `init` asks its own questions for some kinds of targets, and for the URL of all others.
_PROTOCOL_TABLE = f"{PACKAGE}/providers.py"
_QUESTIONS = f"{PACKAGE}/cli/init/kinds.py"
_A_LIST = 3
# Modules that every provider, or every command with a folder of its own, has under the same name.
_ROOMS = {
    "__init__", "open", "requests", "signing", "store", "answers", "unfinished", "dialect", "client", "options",
    "command", "listing",
}  # fmt: skip


def find_circles() -> list[str]:
    """Return the groups of modules that import each other, imports for type checking included, one line each."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False)
    upstream = {module: graph.find_upstream_modules(module) for module in graph.modules}
    groups = {
        frozenset({module, *(other for other in upstream[module] if module in upstream[other])}) for module in upstream
    }
    return sorted(" ↔ ".join(sorted(group)) for group in groups if len(group) > 1)


def find_twins(root: Path) -> list[str]:
    """Return the names that several modules share though they are none that every provider has."""
    places = defaultdict(list)
    for path in _modules(root):
        if path.stem not in _ROOMS:
            places[path.stem].append(str(path.relative_to(root / PACKAGE)))
    return sorted(f"{', '.join(sorted(found))}" for found in places.values() if len(found) > 1)


def find_protocol_lists(root: Path) -> list[str]:
    """Return the modules that name several protocols, as to list them."""
    schemes = [set(provider.schemes) for provider in PROVIDERS]
    found = []
    for path in _modules(root):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if sum(not names.isdisjoint(texts) for names in schemes) >= _A_LIST:
            found.append(str(path.relative_to(root)))
    return sorted(found)


def count(root: Path) -> tuple[int, int]:
    """Return how many files the package has, and how many lines, those in C included."""
    files = [*_modules(root), *(root / PACKAGE).rglob("*.[ch]")]
    return len(files), sum(len(path.read_text().splitlines()) for path in files)


def _modules(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def problems(root: Path) -> Iterator[str]:
    """Yield each figure that is over its limit, as a line of text."""
    yield from (f"these modules import each other: {line}" for line in find_circles())
    yield from (f"these modules have the same name: {line}" for line in find_twins(root))
    for name in find_protocol_lists(root):
        if name not in (_PROTOCOL_TABLE, _QUESTIONS):
            yield f"{name} lists protocols; the list is in {_PROTOCOL_TABLE}"
    frames = trace()
    if len(frames) > MOST_FRAMES:
        yield f"from main() to sendall() there are {len(frames)} frames, and may be {MOST_FRAMES}: {' > '.join(frames)}"
    if "\n".join(["```text", *frames, "```"]) not in (root / MAP).read_text():
        yield f"{MAP} shows other frames than those that `--figures` prints"
    lines = len((root / "README.md").read_text().splitlines())
    if lines > MOST_README_LINES:
        yield f"README.md has {lines} lines, and may have {MOST_README_LINES}"


def show(root: Path, commit: str = "") -> None:
    """Print all figures, and how many files and lines there are beside a commit."""
    frames = trace()
    files, lines = count(root)
    print(f"files: {files}\nlines: {lines}")
    if commit:
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(["git", "archive", commit, PACKAGE], check=True, stdout=subprocess.PIPE, cwd=root)
            subprocess.run(["tar", "-x", "-C", folder], check=True, input=archive.stdout)
            before = count(Path(folder))
        print(f"beside {commit}: {files - before[0]:+} files, {lines - before[1]:+} lines")
    print(f"circles: {len(find_circles())}\nmodules of the same name: {len(find_twins(root))}")
    print(f"lists of protocols: {', '.join(find_protocol_lists(root))}")
    print(f"README.md: {len((root / 'README.md').read_text().splitlines())} lines")
    print(f"frames from main() to sendall(): {len(frames)}")
    print("\n".join(f"  {frame}" for frame in frames))


def main(arguments: Sequence[str]) -> int:
    """Report or print; return the exit status."""
    if arguments[:1] == ["--figures"]:
        show(Path.cwd(), *arguments[1:2])
        return 0
    return documents.report("check_house", problems(Path.cwd()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
