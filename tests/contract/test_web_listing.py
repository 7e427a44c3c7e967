"""What a web server's page says of a directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.storage.open import open_store
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("quiet_environment")

LINKS = '<a href="../">up</a> <A class="x" HREF="one">1</A> <a\nhref=\'/target/two\'>2</a> <a href="http://other/three">3</a>'


@pytest.fixture
def listed() -> Iterator[Any]:
    """Gives the keys that a store finds whose server has that page everywhere."""
    with Pages() as server:
        store = open_store(f"{server.endpoint}/target", {}, timeout=5)

        def listing(page: str) -> list[str]:
            server.answer = lambda _: (200, page)
            return sorted(one.key for one in store.find(""))

        yield listing
        store.close()


def test_links_to_what_is_below_are_objects(listed: Any) -> None:
    assert listed(LINKS) == ["one", "two"]


def test_a_page_of_blanks_takes_no_time(listed: Any) -> None:
    """Two thousand of them took a quarter of a minute, and each further one more."""
    before = time.process_time()
    assert listed(f"{LINKS} <a{' ' * (1 << 20)}") == ["one", "two"]
    assert time.process_time() - before < 10
