"""Reads the service's responses, and rejects those that can't be the service's."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ...checksum import from_base64
from ..contract import ObjectInfo
from ..http.answer import total_size
from ..plain_xml import element

if TYPE_CHECKING:
    from collections.abc import Mapping

# Metadata of our own objects: the CRC-32C of all bytes, who wrote it, and that it only takes an upload's place.
CRC, WRITER, PLACEHOLDER = "x-ms-meta-gpcrc32c", "x-ms-meta-gpwriter", "x-ms-meta-gpunfinished"
_DIRECTORY = "x-ms-meta-hdi_isfolder"


class ForeignAnswerError(Exception):
    """A response that is not from the service, but from a portal or a proxy."""


class Refusal(Exception):
    """A response without success, with the attributes of azure-core's errors, which storage reads."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        """`text` is the body: XML, or whatever a gateway sends."""
        code = element("Code", text) or headers.get("x-ms-error-code", "")
        message = element("Message", text).partition("\n")[0].strip()
        super().__init__(f"HTTP status {status}{f', {code}' if code else ''}{f': {message}' if message else ''}")
        self.status_code = status
        self.error_code = code


def require_azure(headers: Mapping[str, str]) -> None:
    """Raise ForeignAnswerError for a response that is not the service's: some portals answer everything with 200."""
    if "x-ms-request-id" not in headers and "x-ms-version" not in headers:
        raise ForeignAnswerError("check account_name, account_host and the proxy")


def object_info(key: str, headers: Mapping[str, str], status: int) -> ObjectInfo:
    """Return the object that the response to a HEAD or a ranged GET describes."""
    etag = headers.get("etag")
    size = total_size(headers, status)
    if not etag or size is None:
        raise ForeignAnswerError("it has no version, or no size of the object")
    return ObjectInfo(key, size, etag, from_base64(headers.get(CRC)))


def is_object(headers: Mapping[str, str]) -> bool:
    """Return whether it is neither a directory of a hierarchical namespace nor the placeholder of an ended upload."""
    return headers.get(_DIRECTORY, "").lower() != "true" and PLACEHOLDER not in headers


def is_directory(headers: Mapping[str, str]) -> bool:
    """Return whether it is a directory."""
    return headers.get(_DIRECTORY, "").lower() == "true"


def service_time(headers: Mapping[str, str]) -> float:
    """Return the time in a response, in seconds since 1970; this host's if it has none."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return time.time()
