"""What a claim holds and is called; anything else, however odd, is none."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.integrity.claim import NAME, BadClaim, Encryption, decode, is_claim, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster

T = "20260101120000"
OURS = Cluster("", "7001", "cdw", "5432", "/data/gpseg-1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        new_claim("20260101120001", OURS).encode(),
        new_claim(T, OURS).encode().replace(b'"token": "', b'"token": "../'),
        new_claim(T, OURS).encode().replace(b'"created": ', b'"created": -'),
        new_claim(T, OURS).encode().replace(b'"host": "cdw"', b'"host": "cdw\\n"'),
        new_claim(T, OURS).encode().replace(b'"host": "cdw"', b'"host": 5'),
        *(
            new_claim(T, OURS).encode().replace(b'"token"', b'"encryption": %b, "token"' % encryption)
            for encryption in (
                b"[]",
                b'"age1abcdef"',
                b'{"recipients": []}',
                b'{"recipients": [5]}',
                b'{"recipients": ["age1abc\\ndef"]}',
                b'{"recipients": ["AGE-SECRET-KEY-1ABCDEF"]}',
                b'{"recipients": ["age1abcdef"], "metadata_recipients": [null]}',
            )
        ),
    ],
    ids=range(17),
)
def test_what_is_no_claim_of_this_backup_is_refused(data: bytes) -> None:
    with pytest.raises(BadClaim):
        decode("key", T, data)


def test_names_of_claims() -> None:
    claim = new_claim(T, OURS)
    assert is_claim(NAME)
    assert is_claim(claim.own_name)
    assert not is_claim("fsspec_gp_plugin/claim.jsonx")
    assert not is_claim("fsspec_gp_plugin/claim.x.json")
    assert decode("key", T, claim.encode()) == claim


def test_a_claim_says_to_whom_its_backup_is_encrypted() -> None:
    encryption = Encryption(("age1abcdef",), ("age1ghjklm",))
    claim = new_claim(T, OURS, encryption=encryption)
    assert decode("key", T, claim.encode()) == claim
    assert b"encryption" not in new_claim(T, OURS).encode()
