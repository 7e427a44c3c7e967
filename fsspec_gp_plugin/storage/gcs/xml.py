"""Requests of Google's XML API, the only one with multipart uploads. It takes the same tokens as the JSON API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError, fromstring

from ..plain_xml import NotPlainError, require_plain
from .requests import ForeignAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element

    from ..http.cancellation import Cancellation
    from .requests import Requests

# A page of a listing has at most a thousand names of at most a kilobyte.
_LARGEST_ANSWER = 8 << 20
_XML = "application/xml"


class Xml:
    """Sends requests on one bucket."""

    def __init__(self, requests: Callable[[], Requests], bucket: str) -> None:
        """`requests` returns the Requests to use now."""
        self._requests = requests
        self._bucket = bucket

    def send(
        self,
        method: str,
        key: str,
        query: str,
        body: memoryview | None = None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Mapping[str, str]:
        """Send a request and return the headers of its response. Raises Refusal without success."""
        return self._exchange(method, key, query, body, headers, cancellation)[0]

    def send_for_xml(
        self,
        method: str,
        key: str,
        query: str,
        root: str,
        body: memoryview | None = None,
        kind: str = "application/xml",
    ) -> Element:
        """Send a request and return the document of its response, whose root must be `root`, without namespaces.

        `kind`: of the body, or, where an upload begins, of the object.
        """
        _, text = self._exchange(method, key, query, body, {} if body is None else {"Content-Type": kind})
        try:
            require_plain(text.encode())
            document = fromstring(text)  # noqa: S314 - no entities, see above
        except NotPlainError as error:
            raise ForeignAnswerError(f"it is none of the service: {error}") from None
        except ParseError as error:
            raise ForeignAnswerError("it is no XML, or not whole") from error
        for element in document.iter():
            element.tag = element.tag.rpartition("}")[2]
        if document.tag != root:
            raise ForeignAnswerError(f"it is no {root}")
        return document

    def _exchange(
        self,
        method: str,
        key: str,
        query: str,
        body: memoryview | None,
        headers: Mapping[str, str] | None = None,
        cancellation: Cancellation | None = None,
    ) -> tuple[Mapping[str, str], str]:
        requests = self._requests()
        url = requests.xml_url(self._bucket, key, query)
        sent = {**requests.charged, **(headers or {})}
        # By POST an upload begins or ends, and whether an unanswered one did must not be forgotten.
        answer = requests.begin(method, url, sent, body, cancellation=cancellation, once=method == "POST")
        try:
            return answer.headers, answer.text(_LARGEST_ANSWER)
        finally:
            answer.end()
