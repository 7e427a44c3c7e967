"""Reads the archive that `scripts/bundle` makes, and has the shell lines that install it on a host."""

from __future__ import annotations

import re
import shlex
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...commands import PROGRAM
from ...errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# VERSION is among the first members of the archive, as they are sorted by name.
_FIRST_MEMBERS = 8
_LARGEST = 4096

# $1: the directory, $2: a token of this run, $3: the version, $4: an interpreter or nothing, $5: Python's version,
# $6: the kind of machine.
# The old tree is kept until the new one has answered in its place.
_INSTALL = f"""\
set -eu
umask 022
unset LD_LIBRARY_PATH
dir=$1 new=$1.new-$2 old=$1.old-$2 version=$3
fail() {{ echo "$1" >&2; exit 1; }}
answers() {{
  answer=$("$1/bin/{PROGRAM}" --version 2>&1) || fail "the new tree does not start: $answer (--python sets its Python)"
  [ "$answer" = "{PROGRAM} version $version" ] || fail "the new tree says '$answer' instead of version $version"
}}
[ "$(uname -m)" = "$6" ] || fail "the bundle is for $6, but this host is $(uname -m)"
if [ -e "$dir" ] && [ ! -e "$dir/bin/{PROGRAM}" ] && [ -n "$(ls -A -- "$dir")" ]; then
  fail "$dir holds something other than this plugin; choose another directory"
fi
mkdir -p -- "${{dir%/*}}/"
[ -w "${{dir%/*}}/" ] || fail "$(id -un) may not write to ${{dir%/*}}/, the parent of DIR"
mkdir -- "$new"
trap 'rm -rf -- "$new"' EXIT
trap 'exit 1' HUP INT TERM
tar -x -z -p --no-same-owner --strip-components=1 -f - -C "$new" || fail "the archive can't be unpacked"
(cd -- "$new" && sha256sum --quiet --check SHA256SUMS) > /dev/null || fail "the bundle is damaged"
if [ -n "$4" ]; then
  [ -x "$4" ] || fail "there is no $4"
  ln -s -- "$4" "$new/bin/python$5"
fi
answers "$new"
if [ -e "$dir" ] || [ -h "$dir" ]; then
  mv -T -- "$dir" "$old"
fi
back() {{ [ ! -e "$old" ] || mv -T -- "$old" "$dir"; }}
mv -T -- "$new" "$dir" || {{ back; fail "can't rename $new"; }}
(answers "$dir") || {{ mv -T -- "$dir" "$new"; back; exit 1; }}
if [ -e "$old" ]; then
  # The agent of the old tree would serve nobody any more.
  "$old/bin/{PROGRAM}" agent stop < /dev/null > /dev/null 2>&1 || :
  rm -rf -- "$old"
fi
"""

# $1: the file, $2: a token. Standard input replaces the file in one step.
_COPY = """\
set -eu
umask 077
trap 'rm -f -- "$1.new-$2"' EXIT
trap 'exit 1' HUP INT TERM
[ ! -d "$1" ] || { echo "$1 is a directory" >&2; exit 1; }
mkdir -p -- "${1%/*}/"
cat > "$1.new-$2"
chmod 600 -- "$1.new-$2"
mv -T -- "$1.new-$2" "$1"
"""


@dataclass(frozen=True)
class Bundle:
    """An archive, and the content of its file VERSION."""

    path: Path
    version: str
    python: str
    machine: str

    def install_line(self, directory: str, token: str, python: str) -> str:
        """The shell line that reads the archive from standard input and installs it into an absolute directory.

        `python`: the interpreter of that host, if it is in none of the usual places.
        """
        return shlex.join(
            ["sh", "-c", _INSTALL, "sh", directory, token, self.version, python, self.python, self.machine]
        )


def read_bundle(path: Path) -> Bundle:
    """Read VERSION from an archive; raises UsageError if `scripts/bundle` did not make it."""
    try:
        with tarfile.open(path, "r|gz") as tar:
            for _, member in zip(range(_FIRST_MEMBERS), tar, strict=False):
                file = tar.extractfile(member) if member.name.endswith("/VERSION") else None
                if file is not None:
                    return _bundle(path, file.read(_LARGEST).decode())
    except (OSError, EOFError, tarfile.TarError, UnicodeDecodeError) as error:
        raise UsageError(f"--bundle {path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    raise UsageError(f"--bundle {path} is not an archive made by scripts/bundle")


def copy_line(path: str, token: str) -> str:
    """The shell line that writes standard input to a file which only this user may read."""
    return shlex.join(["sh", "-c", _COPY, "sh", path, token])


def _bundle(path: Path, text: str) -> Bundle:
    fields = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    version, python, machine = fields.get(PROGRAM, ""), fields.get("python", ""), fields.get("machine", "")
    if not re.fullmatch(r"[0-9A-Za-z.+-]+", version) or not re.fullmatch(r"3\.\d+", python):
        raise UsageError(f"--bundle {path} is not an archive made by scripts/bundle: its VERSION is incomplete")
    return Bundle(path, version, python, machine)
