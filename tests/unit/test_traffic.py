"""What streams of a measurement are made of."""

from __future__ import annotations

import os
import threading
import zlib

from fsspec_gp_plugin.backups.traffic import Content, Traffic
from fsspec_gp_plugin.transfer.download import DownloadSettings
from fsspec_gp_plugin.transfer.upload import UploadSettings
from tests.fakes import FakeStore


def test_content_is_incompressible_and_new_each_time() -> None:
    content = Content(1 << 20)
    found = []
    for _ in range(2):
        content.renew()
        ours, theirs = os.pipe()
        thread = threading.Thread(target=content.pour, args=(theirs, (1 << 20) + 1000))
        thread.start()
        data = b""
        while len(data) < (1 << 20) + 1000:
            data += os.read(ours, 1 << 20)
        thread.join()
        os.close(ours)
        os.close(theirs)
        assert data[1 << 20 :] == data[:1000]
        assert len(zlib.compress(data)) > len(data) * 0.99
        found.append(data)
    content.close()
    assert found[0] != found[1]


def test_streams_go_up_and_come_back() -> None:
    store = FakeStore()
    traffic = Traffic(store, lambda _: None)
    content = Content(1 << 20)
    content.renew()
    settings = UploadSettings(part_size=1 << 18)
    up = traffic.up(["a", "b"], 1 << 20, content, settings)
    content.close()
    assert up.size == 2 << 20
    assert {len(data) for data in store.objects.values()} == {1 << 20}
    assert store.objects["a"] != store.objects["b"]
    down = traffic.down(["a", "b"], DownloadSettings(read_size=1 << 18))
    assert down.size == 2 << 20
    assert traffic.down(["a"], DownloadSettings(read_size=1 << 18), seconds=0).size < 1 << 20
