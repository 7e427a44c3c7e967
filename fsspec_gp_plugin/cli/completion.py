"""`completion`: a script by which bash or zsh completes the commands and their options, from the tables and parsers."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ..commands import COMMANDS, PEOPLE, PROGRAM
from . import render
from .arguments import Parser, words_of
from .main import function_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Where neither words nor options fit, files do: CONFIG, FILE, DIR.
_BASH = """\
# Completion of {program} in bash: source it, or put it into /etc/bash_completion.d.
_{program}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    words={commands}
  elif [ "${{word#-}}" != "$word" ]; then
    case ${{COMP_WORDS[1]}} in
{options}
    esac
  elif [ "$COMP_CWORD" = 2 ]; then
    case ${{COMP_WORDS[1]}} in
{firsts}
    esac
  fi
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}}
complete -o default -F _{program} {program}
"""
_ZSH = """\
#compdef {program}
# Completion of {program} in zsh: source it after compinit, or put it as _{program} into a directory of $fpath.
_{program}() {{
  local -a words_
  if (( CURRENT == 2 )); then
    words_=({described})
    _describe command words_
    return
  fi
  if [[ $PREFIX == -* ]]; then
    case ${{words[2]}} in
{options}
    esac
  elif (( CURRENT == 3 )); then
    case ${{words[2]}} in
{firsts}
    esac
  fi
  if (( $#words_ )); then
    compadd -a words_
  else
    _files
  fi
}}
if [[ $funcstack[1] == _{program} ]]; then
  _{program} "$@"
else
  compdef _{program} {program}
fi
"""


def main(arguments: Sequence[str]) -> int:
    """Print it."""
    parser = Parser("completion", config=False)
    parser.add_argument("shell", choices=("bash", "zsh"), help="for which shell")
    render.text((bash if parser.parse_args(arguments).shell == "bash" else zsh)())
    return 0


def bash() -> str:
    """The script for bash."""
    options, firsts = _words()
    return _BASH.format(
        program=PROGRAM,
        commands=shlex.quote(" ".join([*_summaries(), "--help", "--version"])),
        options=_cases(options, "words={}", lambda words: shlex.quote(" ".join(words))),
        firsts=_cases(firsts, "words={}", lambda words: shlex.quote(" ".join(words))),
    )


def zsh() -> str:
    """The script for zsh."""
    options, firsts = _words()
    return _ZSH.format(
        program=PROGRAM,
        described=" ".join(shlex.quote(f"{name}:{summary}") for name, summary in _summaries().items()),
        options=_cases(options, "words_=({})", shlex.join),
        firsts=_cases(firsts, "words_=({})", shlex.join),
    )


def _summaries() -> dict[str, str]:
    return {name: command.summary for name, command in COMMANDS.items()} | {
        name: does for name, (_, does) in PEOPLE.items()
    }


def _words() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Of each command its options, and what its first argument may be, where that is one of few words."""
    options, firsts = {}, {}
    for name, command in COMMANDS.items():
        options[name] = command.options
    for name, (usage, _) in PEOPLE.items():
        try:
            options[name], firsts[name] = words_of(function_of(name))
        except KeyError:  # the agent's, whose words are in the table
            first, *others = usage.split()
            options[name], firsts[name] = ["--help", *(word.strip("[]") for word in others)], first.split("|")
    return options, {name: words for name, words in firsts.items() if words}


def _cases(words: dict[str, list[str]], form: str, joined: Callable[[list[str]], str]) -> str:
    """Lines of `case`, commands with the same words in one."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, found in words.items():
        names.setdefault(tuple(found), []).append(name)
    return "\n".join(f"      {'|'.join(same)}) {form.format(joined(list(found)))} ;;" for found, same in names.items())
