"""The links of a web server's page that lists a directory."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Of each place in the text at the most one of these begins, and none goes beyond the next tag or quotation mark: the
# pattern that fsspec has for it takes time by the cube of the blanks after "<a".
_TAG = re.compile(r"<a(\s[^<>]*)", re.IGNORECASE)
_TARGET = re.compile(r"""\shref=["']([^"']+)""", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[-a-zA-Z0-9@:%_+.~#?&/=]+")
_UP = ("..", "../")


def names_below(url: str, text: str, *, simple: bool) -> set[str]:
    """The addresses below that of a page to which it leads. `simple`: also where no link stands around one."""
    links = [target[1] for tag in _TAG.finditer(text) if (target := _TARGET.search(tag[1]))]
    if simple:
        links += _ADDRESS.findall(text)
    parts = urlsplit(url)
    folder = url.rstrip("/") + "/"
    found: set[str] = set()
    for link in links:
        address = f"{parts.scheme}://{parts.netloc}{link}" if link.startswith("/") and len(link) > 1 else link
        if address.startswith("http"):
            if address.split("://")[-1].startswith(folder.split("://")[-1]):
                found.add(address)
        elif address not in _UP:
            found.add(folder + address.lstrip("/"))
    return found
