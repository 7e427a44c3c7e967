"""Google's tokens where the service that gives them fails for a while, or for good."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, CredentialsEnded
from fsspec_gp_plugin.storage import credential_renewal
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.gcs import Gcs

pytestmark = pytest.mark.usefixtures("quiet_environment")

BUSY = (503, '{"error": "internal_failure"}')
REFUSED = (400, '{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')
_unique = itertools.count()


def given(seconds: int) -> tuple[int, str]:
    return 200, json.dumps({"access_token": f"token-{next(_unique)}", "expires_in": seconds, "token_type": "Bearer"})


@pytest.fixture
def service() -> Iterator[Pages]:
    with Pages() as pages:
        yield pages


@pytest.fixture(scope="module")
def private_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = rsa.generate_private_key(65537, 2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def opened(gcs: Gcs, service: Pages, private_key: str, **how: Any) -> Any:
    account = {
        "type": "service_account",
        "client_email": "backup@project.test",
        "private_key": private_key,
        "token_uri": f"{service.endpoint}/token",
    }
    return open_store(f"{gcs.url}/credentials/{next(_unique)}", {**gcs.options, "token": account}, **how)


def answer_in_turn(service: Pages, *answers: tuple[int, str]) -> None:
    """The last one for ever."""
    following = iter(answers)
    service.answer = lambda _: next(following, answers[-1])


def test_the_old_token_serves_while_it_lasts(gcs: Gcs, service: Pages, private_key: str) -> None:
    """Nobody waits for another one, and the service is not asked with each request."""
    # Two hundred seconds are few enough to want another one.
    answer_in_turn(service, given(200), REFUSED)
    store = opened(gcs, service, private_key)
    for number in range(3):
        store.put(f"object {number}", memoryview(b"data"))
    assert len(service.asked) == 1
    store.close()


def test_the_service_may_hang_while_the_old_token_lasts(
    gcs: Gcs, service: Pages, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_renewal, "SECONDS_BETWEEN_TRIES", 0.0)
    goes_on, hangs = threading.Event(), threading.Event()
    answers = iter([given(200)])

    def answer(_: dict[str, str]) -> tuple[int, str]:
        if (first := next(answers, None)) is not None:
            return first
        hangs.set()
        goes_on.wait(60)
        return given(3600)

    service.answer = answer
    store = opened(gcs, service, private_key)
    store.put("first", memoryview(b"data"))
    waiting = threading.Thread(target=store.put, args=("waits", memoryview(b"data")))
    waiting.start()
    assert hangs.wait(30)
    for number in range(3):
        store.put(f"object {number}", memoryview(b"data"))
    goes_on.set()
    waiting.join(30)
    assert len(service.asked) == 2
    store.close()


def test_a_token_that_can_not_be_had_for_now_is_asked_for_again(gcs: Gcs, service: Pages, private_key: str) -> None:
    # The library repeats twice by itself.
    answer_in_turn(service, BUSY, BUSY, BUSY, given(3600))
    noted: list[str] = []
    policy = RetryPolicy(60, first_pause=0.05, note=noted.append, renew=lambda: None)
    store = opened(gcs, service, private_key, policy=policy)
    store.put("object", memoryview(b"data"))
    assert len(noted) == 1
    assert "no token can be had at the moment" in noted[0]
    store.close()


def test_an_account_that_is_refused_is_told_at_once(gcs: Gcs, service: Pages, private_key: str) -> None:
    answer_in_turn(service, REFUSED)
    store = opened(gcs, service, private_key, policy=RetryPolicy(60, renew=lambda: None))
    with pytest.raises(AccessDenied, match=r"no token can be had for requests to the store .*invalid_grant"):
        store.put("object", memoryview(b"data"))
    assert len(service.asked) == 1
    store.close()


def test_a_token_that_the_store_takes_no_more_leads_to_another(service: Pages) -> None:
    service.answer = lambda _: (401, '{"error": {"message": "Invalid Credentials", "errors": [{"reason": "x"}]}}')
    store = open_store("gs://bucket/prefix", {"endpoint_url": service.endpoint, "token": "anon"})
    with pytest.raises(CredentialsEnded, match="the token has expired"):
        store.stat("object")
    store.close()
