"""The control plane: s3fs finds credentials, signs, and makes the small requests.

All of them run on s3fs's event loop, in its own thread; the callers' threads wait for them. s3fs takes a third
of a second to import and its client another tenth, so it is made when it is first needed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..contract import TransportSecurity
from ..http.answer import SLOWEST_RATE
from ..http.routes import Network
from .signing import METHODS, SIGNATURE_SECONDS, CannotPresignError, Presigned, signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

# Beyond the time for which a request may stall: connecting, and what the library does around it.
_MARGIN = 15.0
# Amazon takes minutes to put thousands of parts together, and sends blanks meanwhile.
_SLOW = 600.0


class Control:
    """Requests by s3fs, one at a time for each caller. Is a Signer, too."""

    def __init__(self, make: Callable[[], Any], timeout: float) -> None:
        """`make` returns a synchronous s3fs.S3FileSystem; `timeout`: seconds for which a request may stall."""
        self._make = make
        self._timeout = timeout
        self._fs: Any = None
        self._lock = threading.Lock()

    @property
    def fs(self) -> Any:
        """The filesystem, made on first use."""
        with self._lock:
            if self._fs is None:
                self._fs = self._make()
            return self._fs

    def start(self, method: str, **parameters: Any) -> Future[Any]:
        """Begin a request by its botocore method name; cancelling the future closes its connection."""
        # Through s3fs, so that the user's s3_additional_kwargs apply.
        return self.submit(self.fs._call_s3(method, **parameters))  # noqa: SLF001

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the event loop."""
        import asyncio  # with the first of them: most commands need none

        return asyncio.run_coroutine_threadsafe(coroutine, self.fs.loop)

    def call(self, method: str, **parameters: Any) -> Any:
        """Make a request without a body and wait for its answer."""
        return self.outcome(self.start(method, **parameters))

    def call_slow(self, method: str, **parameters: Any) -> Any:
        """Make a request as call() does that may take minutes while the store keeps the connection alive."""
        return self.outcome(self.start(method, **parameters), seconds=_SLOW)

    def outcome(self, future: Future[Any], size: int = 0, seconds: float = 0.0) -> Any:
        """Wait, within a time limit, for a request whose body or answer has `size` bytes and that may take `seconds`
        more.
        """
        try:
            return future.result(self._timeout + _MARGIN + size / SLOWEST_RATE + seconds)
        except BaseException:
            future.cancel()
            raise

    def client(self) -> Any:
        """The botocore client."""
        return self.outcome(self.submit(self.fs.set_session()))

    def transport_security(self) -> TransportSecurity:
        """How requests travel."""
        verifies = True  # the library's default
        with suppress(AttributeError):
            verifies = self.network().verifies
        return TransportSecurity.to(self.endpoint(), is_verified=verifies)

    def endpoint(self) -> str:
        """The store's URL."""
        return str(self.client().meta.endpoint_url)

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        """As Signer.presign(). The client knows credentials of every kind, and renews them."""

        async def sign() -> tuple[str, dict[str, Any]]:
            await self.fs.set_session()
            client = await self.fs.get_s3(parameters["Bucket"])
            merged = self.fs._get_s3_method_kwargs(getattr(client, operation), **parameters)  # noqa: SLF001
            return await client.generate_presigned_url(operation, Params=merged, ExpiresIn=SIGNATURE_SECONDS), merged

        url, merged = self.outcome(self.submit(sign()))
        headers = signed_headers(merged)
        if "Signature=" not in url:
            raise CannotPresignError("anonymous requests")
        return Presigned(METHODS[operation], url, headers)

    def network(self) -> Network:
        """The library's settings of proxies and TLS. Raises AttributeError if it no longer shows them."""
        from botocore.httpsession import where

        session = self.client()._endpoint.http_session  # noqa: SLF001 - nothing public holds all of it
        certificate = (session._cert_file, session._key_file)  # noqa: SLF001
        return Network(
            timeout=self._timeout,
            proxy_of=session._proxy_config.proxy_url_for,  # noqa: SLF001
            verify=session._verify,  # noqa: SLF001
            certificates=where(),
            client_certificate=certificate if certificate[1] else certificate[0],
        )

    def close(self) -> None:
        """Release the connections."""
        client = self._fs._s3 if self._fs is not None else None  # noqa: SLF001 - its own close waits only 0.1 s
        if client is not None:
            with suppress(Exception):
                self.submit(client.__aexit__(None, None, None)).result(5)
