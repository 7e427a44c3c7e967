"""Encrypted streams in every store: parts of any size, ranges, and what `age` finds there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.contract.stores import KEY
from tests.sealing import IDENTITY, new_test_seal, opening
from tests.servers import age
from tests.servers.fixtures import age_program

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store

# Two parts of the smallest size that S3 takes, and a bit.
SIZE = (11 << 20) + 12_345
SPAN = (5_200_000, 5_400_000)


def test_an_encrypted_stream_comes_back(store: Store, tmp_path: Path) -> None:
    plain, stored, restored = (tmp_path / name for name in ("plain", "stored", "restored"))
    plain.write_bytes(os.urandom(SIZE))
    with plain.open("rb") as source:
        settings = UploadSettings(5 << 20, 2)
        sent = Upload(store, KEY, settings, pytest.fail, seal=new_test_seal(KEY)).run(source.fileno())
    reading = DownloadSettings(3_000_000, 2)
    with stored.open("wb") as sink:
        Download(store, sink.fileno(), reading).write_whole(KEY, sent)
    identity = tmp_path / "identity"
    identity.write_text(IDENTITY.text)
    assert age.call(age_program("age"), "-d", "-i", str(identity), str(stored)) == plain.read_bytes()
    with restored.open("wb") as sink:
        Download(store, sink.fileno(), reading, opening=opening()).write_whole(KEY, sent)
        Download(store, sink.fileno(), reading, opening=opening()).write_ranges(KEY, [SPAN], sent)
    assert restored.read_bytes() == plain.read_bytes() + plain.read_bytes()[slice(*SPAN)]
