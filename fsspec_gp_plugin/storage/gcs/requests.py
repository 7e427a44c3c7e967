"""Requests of Google's JSON API on this package's connections; gcsfs knows the endpoint and the credentials."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from ...errors import ConfigError
from ...redaction import scrub
from ..contract import TransportSecurity
from ..error_tables import CODES
from ..http.routes import UnknownProxyError
from ..http.transport import Transport
from ..multipart import UPLOAD_ENDED
from ..plain_xml import element
from .tokens import Authorization, end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..http.answer import Answer
    from ..http.cancellation import Cancellation
    from ..http.routes import Network

# 308: a resumable upload has not got all its bytes yet.
INCOMPLETE = 308
# A page of a listing has at most a thousand names of at most a kilobyte.
_OBJECTS_A_PAGE = 1000
_LARGEST_ANSWER = 4 << 20
# Without it Google would unpack what was stored with Content-Encoding: gzip.
_AS_STORED = {"Accept-Encoding": "gzip"}


class ForeignAnswerError(Exception):
    """A response that is not from the service, but from a portal or a proxy."""

    def __init__(self, problem: str) -> None:
        """`problem` says what is wrong with the response."""
        super().__init__(f"{problem}; check `endpoint_url` and the proxy")


class Refusal(Exception):
    """A response without success; storage/error_translation.py reads its `status` and `error_code`."""

    def __init__(self, status: int, text: str) -> None:
        """`text` is the body: JSON, XML of the XML API, or whatever a gateway sends."""
        reason = element("Code", text)
        message = element("Message", text)
        try:
            error = json.loads(text)["error"]
            message = str(error["message"])
            reason = str(error["errors"][0]["reason"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            # Before it is cut: half a secret would not be recognised.
            message = message or " ".join(scrub(text).split())[:200]
        super().__init__(f"HTTP status {status}{f': {message}' if message else ''}")
        self.status = status
        # Those that say more than the status does.
        known = reason if reason in CODES or reason in UPLOAD_ENDED else ""
        self.error_code = "authError" if status == 401 else known


class Requests:
    """Sends requests to one endpoint, from any thread."""

    def __init__(self, make: Callable[[], Any], network: Network) -> None:
        """`make` returns a gcsfs.core.GCSFileSystem; it is called once, by the first request."""
        self._make = make
        self._fs: Any = None
        self._lock = threading.Lock()
        self._network = network
        self._transport = Transport(network)
        self._authorization = Authorization()

    @property
    def fs(self) -> Any:
        """The filesystem, made on first use."""
        with self._lock:
            if self._fs is None:
                self._fs = self._make()
            return self._fs

    def transport_security(self) -> TransportSecurity:
        """Return how requests travel."""
        return TransportSecurity.to(str(self.fs.base), is_verified=self._network.verifies)

    def credentials_end(self) -> float | None:
        """Return when the credentials end, in seconds since 1970; None if it is unknown or they are renewed before."""
        return end_of(self.fs.credentials)

    def clock_offset(self) -> float | None:
        """Return the seconds by which the service's clock is ahead of this host's; None if it is unknown."""
        return self._transport.clock_offset()

    def object_url(self, bucket: str, key: str, **parameters: str) -> str:
        """Return the URL of an object."""
        return self._url(f"{self.fs.base}b/{quote(bucket, safe='')}/o/{quote(key, safe='')}", parameters)

    def upload_url(self, bucket: str, **parameters: str) -> str:
        """Return the URL at which uploads begin."""
        base = str(self.fs.base).replace("/storage/v1/", "/upload/storage/v1/")
        return self._url(f"{base}b/{quote(bucket, safe='')}/o", parameters)

    def xml_url(self, bucket: str, key: str, query: str) -> str:
        """Return the URL of an object in the XML API, or of its bucket if `key` is ""."""
        base = str(self.fs.base).replace("/storage/v1/", "/")
        return f"{base}{quote(bucket, safe='')}{f'/{quote(key)}' if key else ''}?{query}"

    @property
    def charged(self) -> dict[str, str]:
        """Return the headers of XML API requests that name the project to charge, if the requester pays."""
        project = self.fs._get_params({}).get("userProject")  # noqa: SLF001 - as below
        return {"x-goog-user-project": project} if project else {}

    def _url(self, address: str, parameters: dict[str, str]) -> str:
        # gcsfs adds whom to charge, where the requester pays.
        query = self.fs._get_params(parameters)  # noqa: SLF001 - nothing public holds it
        return f"{address}?{urlencode(query)}" if query else address

    def begin(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: memoryview | None = None,
        *,
        also: tuple[int, ...] = (),
        expected: int = 0,
        cancellation: Cancellation | None = None,
        once: bool = False,
    ) -> Answer:
        """Return the response, which the caller must end. Raises Refusal for a failure that is not in `also`.

        `once`: see Transport.exchange().
        """
        sent: dict[str, str] = {**_AS_STORED, **(headers or {})}
        self._authorization.add(self.fs.credentials, sent)
        sent = {name.title() if name == "authorization" else name: value for name, value in sent.items()}
        try:
            answer = self._transport.exchange(
                method, url, sent, body, expected=expected, cancellation=cancellation, once=once
            )
        except UnknownProxyError as error:
            raise ConfigError(f"storage_options: session_kwargs names {error}") from None
        if 200 <= answer.status < 300 or answer.status in also:
            return answer
        try:
            raise Refusal(answer.status, answer.text())
        finally:
            answer.end()

    def list(self, bucket: str, fields: str, **parameters: str) -> dict[str, Any]:
        """Return a page of a bucket's listing. A response that does not call itself a listing is an error."""
        query = {"maxResults": str(_OBJECTS_A_PAGE), "fields": f"kind,{fields}", **parameters}
        url = self._url(f"{self.fs.base}b/{quote(bucket, safe='')}/o", query)
        page: dict[str, Any] = self.send("GET", url)[2]
        if page.get("kind") != "storage#objects":
            raise ForeignAnswerError("it is no listing")
        return page

    def send(
        self, method: str, url: str, *arguments: Any, **details: Any
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        """As begin(), for short responses: return the status, the headers and the JSON object in the body.

        {} where the body is empty or no matter: of a deletion, which has none, or of an answer that is no success.
        """
        answer = self.begin(method, url, *arguments, **details)
        try:
            text = answer.text(_LARGEST_ANSWER + 1)
        finally:
            answer.end()
        if method == "DELETE" and answer.status < 300 and text.strip() not in ("", "null"):  # null: of an emulator
            raise ForeignAnswerError("a deletion is answered by nothing, and this is something")
        if not text or method == "DELETE" or answer.status >= 300:
            return answer.status, answer.headers, {}
        return answer.status, answer.headers, _object(text)

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.forget()


def _object(text: str) -> dict[str, Any]:
    if len(text) > _LARGEST_ANSWER:
        raise ForeignAnswerError("it is too long")  # and only its beginning is here
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ForeignAnswerError("it is no JSON, or not whole") from None
    if not isinstance(found, dict):
        raise ForeignAnswerError("it describes nothing")
    return found
