"""Our signatures beside botocore's, which are the ones that S3 stores are tested with."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_gp_plugin.storage.s3.signing import Keys, OwnSigner

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SECRETS = st.text("abcXYZ019+/=~ %é", min_size=1, max_size=40)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-amz-server-side-encryption": st.just("aws:kms"),
        "x-amz-server-side-encryption-aws-kms-key-id": st.just("arn:aws:kms:eu-central-1:1:key/a  b"),
        "x-amz-checksum-crc32c": st.just("AAAAAA=="),
        "x-amz-tagging": st.just(" owner=dba&  kind=backup "),
        "Content-MD5": st.just("1B2M2Y8AsgTpgAmY7PhCfg=="),
        "If-None-Match": st.just("*"),
    },
)
QUERIES = st.fixed_dictionaries({}, optional={"uploadId": TEXT, "partNumber": st.just("10"), "versionId": TEXT})
ENDPOINTS = st.sampled_from(
    ["http://127.0.0.1:9000", "https://store.example", "http://store.example:80", "https://s:443", "https://[::1]:9000"]
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "PUT"]), ENDPOINTS, TEXT, QUERIES, HEADERS,
    st.sampled_from(["us-east-1", "eu-central-1", "a region"]), SECRETS, SECRETS, st.none() | st.just("") | SECRETS,
)  # fmt: skip
def test_the_signature_is_that_of_botocore(
    method: str,
    endpoint: str,
    key: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    region: str,
    access_key: str,
    secret: str,
    token: str | None,
) -> None:
    path = f"/bucket/{quote(key, safe='/~')}"
    signer = OwnSigner(f"{endpoint}/bucket", region, lambda: Keys(access_key, secret, token))
    mine = signer.sign(method, path, query, headers, NOW.timestamp())
    url = endpoint + path + (f"?{urlencode(query)}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        auth.S3SigV4QueryAuth(Credentials(access_key, secret, token), "s3", region, expires=3600).add_auth(request)
    assert request_line(mine) == request_line(request.url)


def test_a_signer_that_lives_beyond_midnight_signs_for_the_next_day() -> None:
    signers = [OwnSigner("http://127.0.0.1:9/b", "us-east-1", lambda: Keys("someone", "something")) for _ in range(4)]
    for day, fresh in zip((0, 86400, 0), signers[1:], strict=True):
        when = NOW.timestamp() + day
        assert signers[0].sign("GET", "/b/k", {}, {}, when) == fresh.sign("GET", "/b/k", {}, {}, when)


def request_line(url: str) -> tuple[str, set[str]]:
    path, _, query = url.partition("?")
    return path, set(query.split("&"))
