"""gpbackup's report of a backup, read as gpbackup writes it.

It is a block of keys and values, always in one order, and then counts of objects. Up to version 1.12 the keys are in
title case. Some values are anybody's text, and may go over several lines: the database's name, the command line, the
error.
"""

from __future__ import annotations

import re

# The keys of all versions, in the order in which each of them writes those that it knows.
_KEYS = (
    "Timestamp Key",
    "GPDB Version",
    "gpbackup Version",
    "Database Name",
    "Command Line",
    "Compression",
    "Plugin Executable",
    "Backup Section",
    "Object Filtering",
    "Includes Statistics",
    "Data File Format",
    "Incremental",
    "Incremental Backup Set",
    "Start Time",
    "End Time",
    "Duration",
    "Backup Status",
    "Backup Error",
    "Database Size",
    "Segment Count",
)
_PLACES = {key.lower(): place for place, key in enumerate(_KEYS)}
# A line of the text of one of these may look like a later key; what comes next is always this one.
_NEXT = {"database name": "command line", "command line": "compression"}
_LINE = re.compile(r"([A-Za-z ]+):[ \t]*(.*)")


def read(text: str) -> dict[str, str]:
    """The values of the report's own keys, by the keys in lower case; nothing of what is no report.

    A key counts at its place in the order only, so that no line of an error or of a command line is taken for one. Of
    a value that goes over several lines the first one is told.
    """
    lines = [match for match in map(_LINE.fullmatch, text.split("\n")) if match and match[1].lower() in _PLACES]
    # All keys of one report are in the case of its first.
    keys = _KEYS if lines and lines[0][1] in _KEYS else _PLACES
    pairs = [(match[1].lower(), match[2].strip()) for match in lines if match[1] in keys]
    last = {key: number for number, (key, _) in enumerate(pairs)}
    found: dict[str, str] = {}
    place, awaited = -1, ""
    for number, (key, value) in enumerate(pairs):
        if awaited and key != awaited and last.get(awaited, -1) > number:
            continue
        if _PLACES[key] > place:
            found[key] = value
            place, awaited = _PLACES[key], _NEXT.get(key, "")
    return found
