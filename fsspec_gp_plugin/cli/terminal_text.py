"""Writes text to a terminal, and refuses what is no text: it could set the terminal to anything."""

from __future__ import annotations

import codecs
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ReaderGone, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 << 10
_SPACES = "\t\n\r\f"


@contextmanager
def write_text_to_terminal(terminal: int) -> Iterator[int]:
    """A descriptor whose bytes go to the terminal as long as they are text. UsageError as soon as they are not."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    copy = _Copy(ours, terminal)
    thread = threading.Thread(target=copy.run, daemon=True)
    thread.start()
    try:
        try:
            yield theirs
        except ReaderGone:
            if not copy.refused:
                raise
        finally:
            os.close(theirs)
    finally:
        thread.join()
    if copy.refused:
        raise UsageError("the object is not text, so it is not written to the terminal; use -o FILE or a pipe")


class _Copy:
    """Copies from a pipe to a terminal."""

    def __init__(self, pipe: int, terminal: int) -> None:
        self.refused = False
        self._pipe = pipe
        self._terminal = terminal

    def run(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while True:
                data = os.read(self._pipe, _PIECE)
                text = decoder.decode(data, final=not data)
                if not all(character.isprintable() or character in _SPACES for character in text):
                    self.refused = True
                    return
                rest = text.encode()
                while rest:
                    rest = rest[os.write(self._terminal, rest) :]
                if not data:
                    return
        except UnicodeDecodeError:
            self.refused = True
        except OSError:
            pass  # the terminal is gone
        finally:
            os.close(self._pipe)
