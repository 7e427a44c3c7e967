"""Compares the options of a configuration that documents and examples show with those that the program takes.

Of YAML that is a configuration, or a part of its options, every name must be known and every value understood.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fsspec_gp_plugin.commands import PROGRAM
from fsspec_gp_plugin.config.options import BY_NAME
from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEAR = 0.85
_PLACEHOLDER = re.compile(r"…|\.\.\.|^[A-Z_]+$|\$\{")


def problems(root: Path) -> Iterator[str]:
    """Each option that only the documents or only the program has, as a line of text."""
    shown = set()
    words = _words(root) | BY_NAME.keys()
    for document in documents.find(root):
        for piece in documents.code(document):
            place = f"{document.relative_to(root)}:{piece.line}"
            shown |= set(re.findall(r"\w+", piece.text))
            if piece.kind == "span":
                for word in re.findall(r"(?<![\w.$])[a-z]+(?:_[a-z]+)+(?!\w)", piece.text):
                    if word not in words and (meant := _nearest(word)):
                        yield f"{place}: there is no {word}; is {meant} meant?"
            elif piece.language == "yaml":
                yield from (f"{place}: {why}" for why in _mistakes(piece.text))
    for path in sorted((root / "config_examples").glob("*.yaml")):
        yield from (f"{path.relative_to(root)}: {why}" for why in _mistakes(path.read_text()))
    yield from (f"no document tells of the option {name}" for name in BY_NAME if name not in shown)


def _words(root: Path) -> set[str]:
    """All words of the program's text."""
    return {word for path in root.glob("fsspec_gp_plugin/**/*.py") for word in re.findall(r"\w+", path.read_text())}


def _nearest(word: str) -> str | None:
    # The program's own name is an option, too; what begins like it is not that option misspelt.
    names = BY_NAME.keys() - {PROGRAM}
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)), None)


def _mistakes(text: str) -> Iterator[str]:
    """What is wrong with YAML as a configuration; nothing where it is another thing, such as a file of secrets."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield f"not YAML: {' '.join(str(error).split())}"
        return
    if not isinstance(found, dict):
        return
    if "options" in found:
        yield from (
            f"there is no {name} beside options" for name in sorted(found.keys() - {"executablepath", "options"})
        )
        found = found["options"] if isinstance(found["options"], dict) else {}
    elif not any(isinstance(name, str) and (name in BY_NAME or _nearest(name)) for name in found):
        return
    for name, value in found.items():
        yield from _mistake(str(name), value)


def _mistake(name: str, value: Any) -> Iterator[str]:
    if name not in BY_NAME:
        meant = _nearest(name)
        yield f"there is no option {name}" + (f"; is {meant} meant?" if meant else "")
    elif isinstance(value, dict | list):
        yield f"{name} is a nested mapping or list, and must be text"
    elif not _PLACEHOLDER.search(str(value)):
        # What YAML takes for a truth value, on and off, is text to gpbackup.
        told = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
        try:
            BY_NAME[name].parse(told)
        except ValueError as error:
            yield f"{name}: {told}: {error}"


if __name__ == "__main__":
    sys.exit(documents.report("check_options", problems(Path.cwd())))
