"""What identifies an item."""

from typing import Any

import pytest

from adapters.upstream.reading.item_keys import BadItem, ItemKeys
from tests.support.legacy import legacy_route


@pytest.mark.parametrize(
    ("key", "item", "expected"),
    [
        ("id", {"id": 7}, "7"),
        ("id", {"id": "a:b%"}, "a:b%"),
        ("/metadata/uid", {"metadata": {"uid": "u"}}, "u"),
        ("/ids/1", {"ids": ["a", "b"]}, "b"),
        (("id",), {"id": "a:b"}, "a:b"),
        (("region", "/n/id"), {"region": "eu", "n": {"id": 7}}, "eu:7"),
        (("a", "b"), {"a": "x:y", "b": "%"}, "x%3Ay:%25"),
        (("a", "b"), {"a": "x", "b": "y:%25"}, "x:y%3A%2525"),
        (("namespace", "name"), {"namespace": "", "name": "node"}, ":node"),
    ],
)
def test_a_key_is_a_member_a_pointer_or_several(key: Any, item: dict[str, Any], expected: str) -> None:
    assert ItemKeys(legacy_route(key=key)).of(item) == expected


@pytest.mark.parametrize(
    ("key", "item", "kind"),
    [
        ("/a/b", {"a": None}, "no_key"),
        ("/a/b", {"a/b": 1}, "no_key"),
        (("a", "b"), {"a": 1, "b": None}, "no_key"),
        (("a", "b"), {"a": 1, "b": True}, "bad_key"),
        (("a", "b"), {"a": 1, "b": {}}, "bad_key"),
        (("a", "b"), {"a": "x" * 200, "b": "x" * 200}, "bad_key"),
        ("a", {"a": "\ud83d"}, "bad_key"),
        ("a", {"a": ""}, "bad_key"),
    ],
)
def test_an_item_without_a_usable_key_is_bad(key: Any, item: dict[str, Any], kind: str) -> None:
    with pytest.raises(BadItem) as caught:
        ItemKeys(legacy_route(key=key)).of(item)
    assert caught.value.kind == kind


def test_the_routes_members_may_be_part_of_a_key() -> None:
    route = legacy_route(key=("customer", "id"), members={"customer": "7"})
    assert ItemKeys(route).of({"id": 1, "customer": "7"}) == "7:1"


def test_in_a_map_the_name_is_the_key_behind_members_of_the_route() -> None:
    assert ItemKeys(legacy_route(shape="map", key="id")).of({"id": 1}, "a:b") == "a:b"
    of_a_customer = legacy_route(shape="map", key=("customer",), members={"customer": "7"})
    assert ItemKeys(of_a_customer).of({"customer": "7"}, "a:b") == "7:a%3Ab"


def test_a_single_entity_has_the_routes_id_or_a_key() -> None:
    assert ItemKeys(legacy_route(shape="single", id="status")).of({}) == "status"
    assert ItemKeys(legacy_route(shape="single", key="host")).of({"host": "a"}) == "a"
