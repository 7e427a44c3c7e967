"""`completion`: prints a script by which bash or zsh completes commands and options."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ..commands import FOR_GPBACKUP, FOR_PEOPLE, PROGRAM
from . import render
from .arguments import Parser, options_and_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COMMANDS = FOR_GPBACKUP | FOR_PEOPLE
# Where neither words nor options fit, file names are completed: CONFIG, FILE, DIR.
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


def main(argv: Sequence[str]) -> int:
    """Print the script; returns the exit status."""
    parser = Parser("completion")
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell")
    render.text((bash if parser.parse_args(argv).shell == "bash" else zsh)())
    return 0


def bash() -> str:
    """The script for bash."""
    options, firsts = _words()
    return _BASH.format(
        program=PROGRAM,
        commands=shlex.quote(" ".join([*_COMMANDS, "--help", "--version"])),
        options=_cases(options, "words={}", lambda words: shlex.quote(" ".join(words))),
        firsts=_cases(firsts, "words={}", lambda words: shlex.quote(" ".join(words))),
    )


def zsh() -> str:
    """The script for zsh."""
    options, firsts = _words()
    return _ZSH.format(
        program=PROGRAM,
        described=" ".join(shlex.quote(f"{name}:{command.summary}") for name, command in _COMMANDS.items()),
        options=_cases(options, "words_=({})", shlex.join),
        firsts=_cases(firsts, "words_=({})", shlex.join),
    )


def _words() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The options of each command, and the words among which its first argument is to be chosen."""
    words = {name: options_and_choices(command) for name, command in _COMMANDS.items()}
    return {name: options for name, (options, _) in words.items()}, {
        name: choices for name, (_, choices) in words.items() if choices
    }


def _cases(words: dict[str, list[str]], form: str, joined: Callable[[list[str]], str]) -> str:
    """Lines of `case`, commands with the same words in one."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, choices in words.items():
        names.setdefault(tuple(choices), []).append(name)
    return "\n".join(
        f"      {'|'.join(same)}) {form.format(joined(list(choices)))} ;;" for choices, same in names.items()
    )
