"""Which checksums go with the bytes to a real S3 store: what options, variables or a profile ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.test_s3_options import heads, opened, round_trip, signer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.minio import Minio

__all__ = ["signer"]  # the fixture
pytestmark = pytest.mark.usefixtures("quiet_environment")


@pytest.mark.parametrize("choice", ["when_supported", "when_required"])
def test_checksums_are_those_that_were_asked_for(minio: Minio, signer: str, choice: str) -> None:
    options = {**minio.options, "config_kwargs": {"request_checksum_calculation": choice}}
    _choice_counts(minio, options, signer, choice)


@pytest.mark.parametrize("choice", ["when_supported", "when_required"])
@pytest.mark.parametrize("where", ["variable", "profile"])
def test_the_environment_may_ask_for_checksums_too(
    minio: Minio, choice: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "variable":
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", choice)
    else:
        (tmp_path / "config").write_text(f"[default]\nrequest_checksum_calculation = {choice}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    _choice_counts(minio, minio.options, "s3fs", choice)


def test_without_a_choice_a_store_that_checks_crc32c_gets_it(minio: Minio, signer: str) -> None:
    with opened(minio, minio.options, signer) as (store, prefix):
        round_trip(store)
        assert store.control.client().meta.config.request_checksum_calculation == "when_required"
    assert all("ChecksumCRC32C" in found for found in heads(minio, prefix, ChecksumMode="ENABLED"))


def _choice_counts(minio: Minio, options: dict[str, Any], signer: str, choice: str) -> None:
    with opened(minio, options, signer) as (store, prefix):
        round_trip(store)
        assert store.control.client().meta.config.request_checksum_calculation == choice
    for found in heads(minio, prefix, ChecksumMode="ENABLED"):
        assert ("ChecksumCRC32C" in found) == (choice == "when_supported")
