"""Pages of S3's listings, as stores send them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage.s3.listed_page import parse_page

CONTENTS = """
<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size>
<Owner><ID>someone</ID></Owner><StorageClass>GLACIER</StorageClass></Contents>"""


def page(inside: str, namespace: str = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"') -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{namespace}>{inside}</ListBucketResult>'.encode()


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_page_has_the_parts_by_botocores_names(namespace: str) -> None:
    folders = "".join(f"<CommonPrefixes><Prefix>{one}/</Prefix></CommonPrefixes>" for one in ("a", "b"))
    going_on = "<IsTruncated>true</IsTruncated><NextContinuationToken>a+b%20c</NextContinuationToken>"
    contents = CONTENTS.format(key="a &amp; b+c", time="2026-01-02T03:04:05.678Z")
    found = parse_page(page(going_on + contents + folders, namespace))
    [entry] = found["Contents"]
    assert (entry["Key"], entry["Size"], entry["ETag"], entry["StorageClass"]) == ("a & b+c", 5, '"e"', "GLACIER")
    assert entry["LastModified"] == datetime(2026, 1, 2, 3, 4, 5, 678000, timezone.utc)
    assert found["CommonPrefixes"] == [{"Prefix": "a/"}, {"Prefix": "b/"}]
    assert (found["IsTruncated"], found["NextContinuationToken"]) == (True, "a+b%20c")


def test_keys_are_unquoted_where_the_store_has_quoted_them() -> None:
    inside = "<EncodingType>url</EncodingType><NextMarker>a%2Fb</NextMarker>"
    inside += "<NextContinuationToken>%2F</NextContinuationToken>"
    contents = CONTENTS.format(key="a%01+b%2Bc/%C3%A4", time="2026-01-02T03:04:05Z")
    found = parse_page(page(f"{inside}{contents}<CommonPrefixes><Prefix>d+e/</Prefix></CommonPrefixes>"))
    assert found["Contents"][0]["Key"] == "a\x01 b+c/ä"
    assert found["CommonPrefixes"] == [{"Prefix": "d e/"}]
    assert (found["NextMarker"], found["NextContinuationToken"]) == ("a/b", "%2F")


@pytest.mark.parametrize(("time", "expected"), [("yesterday", None), ("2026-01-02T03:04:05", 1767323045.0)])
def test_a_time_of_another_form_is_unknown_and_one_without_zone_is_utc(time: str, expected: float | None) -> None:
    found = parse_page(page(CONTENTS.format(key="a", time=time)))["Contents"][0]["LastModified"]
    assert (found and found.timestamp()) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"welcome",
        b"<html><br></html>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        page("<Contents><Size>-1</Size></Contents>"),
    ],
)
def test_what_is_no_listing_is_never_an_empty_one(text: bytes) -> None:
    with pytest.raises(Unreachable, match="is no listing"):
        parse_page(text)
