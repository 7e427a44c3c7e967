"""Compares the commands and options that the documents name with those that the program has, both ways."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec_gp_plugin.cli.arguments import options_and_choices
from fsspec_gp_plugin.commands import FOR_GPBACKUP, FOR_PEOPLE, PROGRAM
from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

# What other programs have and the documents name by itself.
_OTHERS = {
    "gpbackup": {
        "--compression-type",
        "--from-timestamp",
        "--jobs",
        "--leaf-partition-data",
        "--no-compression",
        "--single-data-file",
        "--with-stats",
    },
    "gprestore": {"--resize-cluster"},
    "benchmarks.streams": {"--folder"},
    "benchmarks.longest_stream": {"--pipe"},
    "benchmarks.run": {"--beside", "--beside-config", "--hooks", "--nice", "--through"},
    "scripts/test": {"--costs", "--coverage"},
    "scripts.check_house": {"--figures"},
}
# What follows the program's name and is no command: options of its own, a placeholder, the name of a format.
_NO_COMMANDS = {"--help", "--version", "--without-agent", "plugin_api_version", "manifest"}
_OPTION = r"--[a-z][a-z-]*"
# A usage goes on in lines that are indented and begin with an option.
_CONTINUED = re.compile(rf"\s*\\?\n\s+(?=[\[(]*{_OPTION})")
_CALL = re.compile(rf"(?<![\w.-]){PROGRAM} ([a-z-][\w-]*)([^\n;&`]*)")


def known() -> dict[str, tuple[set[str], set[str]]]:
    """The options of each command, and the words among which its first argument is to be chosen."""
    words = {name: options_and_choices(command) for name, command in (FOR_GPBACKUP | FOR_PEOPLE).items()}
    return {name: (set(options), set(choices)) for name, (options, choices) in words.items()}


def problems(root: Path) -> Iterator[str]:
    """Each command, first argument or option that only the documents or only the program has, as a line of text."""
    commands = known()
    anywhere = {"--help", "--version", "--without-agent"}.union(
        *(options for options, _ in commands.values()), *_OTHERS.values()
    )
    shown: dict[str, set[str]] = {name: set() for name in commands}
    for document in documents.find(root):
        for piece in documents.code(document):
            place = f"{document.relative_to(root)}:{piece.line}"
            for name, rest in _calls(piece, commands):
                if name not in commands:
                    yield f"{place}: {PROGRAM} has no command {name}"
                    continue
                options, firsts = commands[name]
                used = set(re.findall(rf"(?<![\w-]){_OPTION}", rest))
                shown[name] |= used
                yield from (f"{place}: {name} has no {option}" for option in sorted(used - options))
                word = re.match(r" ([a-z|]+)(?![\w/.-])", rest)
                if firsts and word and not set(word[1].split("|")) <= firsts:
                    yield f"{place}: {name} takes {' or '.join(sorted(firsts))}, not {word[1]}"
            by_itself = re.match(_OPTION, piece.text) if piece.kind == "span" else None
            if by_itself and by_itself[0] not in anywhere:
                yield f"{place}: no command has {by_itself[0]}"
    for name, (options, _) in commands.items():
        for option in sorted(options - shown[name] - {"--help"}):
            yield f"no document shows `{PROGRAM} {name} … {option}`"


def _calls(piece: documents.Piece, commands: dict[str, tuple[set[str], set[str]]]) -> Iterator[tuple[str, str]]:
    """Each call of a command: its name, and what follows. Between backquotes the program's name may be left out."""
    text = _CONTINUED.sub(" ", piece.text)
    for name, rest in _CALL.findall(text):
        if name not in _NO_COMMANDS:
            yield name, rest
    name, _, rest = text.partition(" ")
    if piece.kind == "span" and name in commands:
        yield name, f" {rest}"


if __name__ == "__main__":
    sys.exit(documents.report("check_commands", problems(Path.cwd())))
