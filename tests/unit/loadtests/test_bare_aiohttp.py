"""The list that stands behind the gateway, nginx and a bare handler is one that the gateway can compare."""

import json

from loadtests.peer_servers.bare_aiohttp import LIST, LIST_BYTES


def test_the_list_has_exactly_its_size_and_a_key_in_each_item() -> None:
    items = json.loads(LIST)

    assert len(LIST) == LIST_BYTES == 16_384
    assert len({item["orderID"] for item in items}) == len(items) == 100
