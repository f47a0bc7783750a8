"""Reading an upstream's answer, and what leads from one to the next."""

from array import array
from typing import Any

import orjson
import pytest

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.comparison import derived_members, same, too_many_missing
from adapters.upstream.reading.items import Items
from adapters.upstream.reading.json_list import sequence_of
from gateway.core.changes import member_suffix
from tests.support.comparing import Compared, compare, extract, matched
from tests.support.legacy import legacy_route, listed, order
from tests.support.vectors import MEMBER_SUFFIXES

NOW_MS = 1_732_098_600_123
NOW = "2024-11-20T10:30:00.123Z"


def changes(old: list[Any], new: list[Any], **settings: Any) -> Compared:
    one = legacy_route(**settings)
    return compare(extract(listed(*old), one), extract(listed(*new), one), one, NOW_MS)


def test_extract_gives_every_item_by_its_key_in_order() -> None:
    items = extract(listed(order("B", n=1), order("A")), legacy_route())

    assert list(items) == ["B", "A"]
    assert orjson.loads(items["B"]) == order("B", n=1)


@pytest.mark.parametrize(
    ("pointer", "document"),
    [
        ("", [order("A")]),
        ("/docs", {"docs": [order("A")]}),
        ("/a~1b/m~0n/1", {"a/b": {"m~n": [0, [order("A")]]}}),
        ("/", {"": [order("A")]}),
    ],
)
def test_items_are_found_at_the_json_pointer(pointer: str, document: Any) -> None:
    assert list(extract(orjson.dumps(document), legacy_route(items=pointer))) == ["A"]


@pytest.mark.parametrize(
    ("pointer", "document"),
    [
        ("", {"docs": []}),
        ("/docs", {}),
        ("/docs", {"docs": {"A": {}}}),
        ("/docs", []),
        ("/docs", 7),
        ("/docs/0", {"docs": []}),
        ("/docs/-", {"docs": [[]]}),
        ("/docs/00", {"docs": [[]]}),
        ("/docs/x", {"docs": "text"}),
    ],
)
def test_an_answer_without_the_list_is_bad(pointer: str, document: Any) -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(orjson.dumps(document), legacy_route(items=pointer))

    assert caught.value.kind == "no_list"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html><body>Log in</body></html>",
        b'{"docs":[{"orderID":"A"',
        b'{"docs":[]} x',
        b"\xff\xfe",
        b"NaN",
    ],
)
def test_what_is_not_json_is_bad(raw: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(raw, legacy_route())

    assert caught.value.kind == "not_json"


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("A", "not_an_object"),
        ([], "not_an_object"),
        (None, "not_an_object"),
        ({}, "no_key"),
        (order(None), "no_key"),
        (order(True), "bad_key"),
        (order(1.5), "bad_key"),
        (order(2**64), "bad_key"),
        (order(["A"]), "bad_key"),
        (order(""), "bad_key"),
        (order("x" * 257), "bad_key"),
        (order("a\nb"), "bad_key"),
        (order("a\x7fb"), "bad_key"),
    ],
)
def test_an_item_that_has_no_usable_key_is_left_out_and_alone_makes_the_answer_bad(
    item: Any, kind: str
) -> None:
    raw = listed(order("first")).replace(b"]}", b"," + _json(item) + b"]}")
    items = extract(raw, legacy_route())
    with pytest.raises(BadAnswer) as caught:
        extract(b'{"docs":[%b]}' % _json(item), legacy_route())

    assert (list(items), items.bad, items.bad_ones) == (["first"], {kind: 1}, [(1, kind)])
    assert caught.value.kind == kind


def _json(value: Any) -> bytes:
    return orjson.dumps(value) if value != order(2**64) else b'{"orderID":18446744073709551616}'


@pytest.mark.parametrize(("one", "other"), [("A", "A"), (1, 1), (1, "1")])
def test_two_items_with_one_key_make_the_answer_bad(one: Any, other: Any) -> None:
    with pytest.raises(BadAnswer) as caught:
        extract(listed(order(one), order(other)), legacy_route())

    assert caught.value.kind == "duplicate_key"


def test_an_item_nested_beyond_what_can_be_written_makes_the_answer_bad() -> None:
    deep = b'{"docs":[{"orderID":"A","x":' + b"[" * 300 + b"]" * 300 + b"}]}"
    with pytest.raises(BadAnswer) as caught:
        extract(deep, legacy_route())

    assert caught.value.kind == "too_deep"


def test_integer_keys_become_text() -> None:
    assert list(extract(listed(order(7), order(-1), order(2**64 - 1)), legacy_route())) == [
        "7",
        "-1",
        str(2**64 - 1),
    ]


def test_equal_answers_give_no_events() -> None:
    assert changes([order("A", n=[1, {"x": None}])], [order("A", n=[1, {"x": None}])]).events == ()


def test_a_new_item_gives_created() -> None:
    (event,) = changes([], [order("A", orderStage="open")]).events

    assert (event.event_type, event.entity_type, event.entity_id) == ("order_created", "order", "A")
    assert (event.action, event.source, event.timestamp) == ("insert", "poll:orders", NOW)
    assert event.data == order("A", orderStage="open")
    assert event.previous is None


def test_a_missing_item_gives_deleted_with_the_whole_last_known_item() -> None:
    comparison = changes([order("A", n=1)], [])

    (event,) = comparison.events
    assert (event.event_type, event.action) == ("order_deleted", "delete")
    assert event.data == event.previous == order("A", n=1)
    assert comparison.missing == {"A"}


def test_a_changed_member_with_a_rule_gives_the_configured_type() -> None:
    old, new = order("A", orderStage="billed", n=1), order("A", orderStage="paid", n=1)
    (event,) = changes([old], [new]).events

    assert (event.event_type, event.action) == ("stage_change", "update")
    assert event.data == {**new, "previousStage": "billed", "newStage": "paid"}
    assert event.previous == old


def test_every_changed_member_with_a_rule_gives_an_event_and_all_others_give_one_together() -> None:
    old = order("A", paymentStatus="due", orderStage="open", note="x", n=1)
    new = order("A", paymentStatus="paid", orderStage="billed", note="y", n=2)
    events = changes([old], [new]).events

    assert [event.event_type for event in events] == ["stage_change", "payment_update", "order_updated"]
    assert events[1].data == {**new, "previousPaymentStatus": "due", "newPaymentStatus": "paid"}
    assert events[2].data == new
    assert [event.previous for event in events] == [old] * 3


def test_a_change_that_no_rule_names_gives_updated() -> None:
    (event,) = changes([order("A", n=1)], [order("A", n=2)]).events

    assert (event.event_type, event.action, event.data) == ("order_updated", "update", order("A", n=2))


def test_deletions_come_first_then_items_in_the_order_of_the_new_answer() -> None:
    old = [order("A"), order("B", n=1), order("C")]
    new = [order("D"), order("B", n=2), order("E")]

    events = changes(old, new).events

    assert [(event.event_type, event.entity_id) for event in events] == [
        ("order_deleted", "A"),
        ("order_deleted", "C"),
        ("order_created", "D"),
        ("order_updated", "B"),
        ("order_created", "E"),
    ]


def test_another_order_of_items_or_members_is_no_change() -> None:
    old = [order("A", x=1, y=2), order("B")]
    new = [order("B"), {"y": 2, "x": 1, "orderID": "A"}]

    assert changes(old, new).events == ()


def test_a_member_that_appears_has_no_previous_value_and_one_that_goes_no_new_one() -> None:
    (appeared,) = changes([order("A")], [order("A", orderStage=None)]).events
    (went,) = changes([order("A", orderStage="open")], [order("A")]).events

    assert appeared.data == order("A", orderStage=None, newStage=None)
    assert went.data == order("A", previousStage="open")


def test_null_is_a_value_that_a_member_can_change_to_and_from() -> None:
    (event,) = changes([order("A", orderStage=None)], [order("A", orderStage="open")]).events

    assert event.data == order("A", orderStage="open", previousStage=None, newStage="open")


def test_a_key_that_changes_its_type_is_a_change_of_the_item() -> None:
    (event,) = changes([order(1)], [order("1")]).events

    assert (event.event_type, event.entity_id) == ("order_updated", "1")


def test_the_items_own_member_gives_way_to_the_change_of_that_name() -> None:
    old = order("A", orderStage="open", previousStage="own", newStage="own")
    (event,) = changes([old], [order("A", previousStage="own", newStage="own")]).events

    assert event.data == order("A", previousStage="open")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (0, -0.0, True),
        (2**53 + 1, float(2**53), False),
        (True, 1, False),
        (False, 0, False),
        (0.0, False, False),
        (None, False, False),
        (None, 0, False),
        ("1", 1, False),
        ("", None, False),
        ([1, [True]], [1.0, [True]], True),
        ([1, [True]], [1, [1]], False),
        ({"a": {"b": False}}, {"a": {"b": 0}}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": None}, {}, False),
        ([], {}, False),
        ([1], [1, 2], False),
    ],
)
def test_values_compare_as_json_values(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_a_number_written_another_way_is_no_change() -> None:
    one = legacy_route()
    old, new = b'{"docs":[{"orderID":"A","n":1}]}', b'{"docs":[{"orderID":"A","n":1.0}]}'

    assert compare(extract(old, one), extract(new, one), one, NOW_MS).events == ()


@pytest.mark.parametrize(("member", "entity", "suffix"), MEMBER_SUFFIXES)
def test_a_member_loses_the_entitys_name_as_a_whole_word(member: str, entity: str, suffix: str) -> None:
    assert member_suffix(member, entity) == suffix


def test_the_members_that_events_add_are_those_of_the_changes_with_a_rule() -> None:
    route = legacy_route(changes={"orderStage": "stage_change", "total": "total_change"})
    assert derived_members(route) == {"previousStage", "newStage", "previousTotal", "newTotal"}
    assert derived_members(legacy_route(changes={})) == frozenset()


def test_an_event_over_the_limit_goes_without_previous_and_says_so() -> None:
    comparison = changes([order("A", x="a" * 500)], [order("A", x="b" * 500)], max_event_bytes=1000)

    (event,) = comparison.events
    assert event.data == order("A", x="b" * 500)
    assert event.previous is None
    assert event.metadata == {"omitted": ["previous"]}
    assert comparison.oversized == ("A",)


def test_an_event_far_over_the_limit_goes_without_data_too() -> None:
    created, deleted = (
        changes([], [order("A", x="a" * 1000)], max_event_bytes=1000),
        changes([order("A", x="a" * 1000)], [], max_event_bytes=1000),
    )

    assert created.events[0].data is None
    assert created.events[0].metadata == {"omitted": ["data"]}
    assert deleted.events[0].action == "delete"
    assert deleted.events[0].metadata == {"omitted": ["data", "previous"]}
    assert created.oversized == deleted.oversized == ("A",)


def test_an_item_that_only_just_can_be_written_alone_is_still_told_of() -> None:
    one = legacy_route()
    deep = b'{"docs":[{"orderID":"A","x":' + b"[" * 253 + b"]" * 253 + b"}]}"
    items = extract(deep, one)

    comparison = compare(extract(listed(), one), items, one, NOW_MS)

    assert comparison.events[0].metadata == {"omitted": ["data"]}


@pytest.mark.parametrize(
    ("before", "missing", "ratio", "held"),
    [
        (9, 9, 0.5, False),
        (10, 5, 0.5, False),
        (10, 6, 0.5, True),
        (12, 12, 0.5, True),
        (12, 12, 1.0, False),
        (10, 1, 0.0, True),
    ],
)
def test_more_than_the_ratio_of_at_least_ten_items_is_too_many(
    before: int, missing: int, ratio: float, held: bool
) -> None:
    old = [order(number) for number in range(before)]
    one = legacy_route(max_delete_ratio=ratio)
    comparison = matched(extract(listed(*old), one), extract(listed(*old[missing:]), one), one, NOW_MS)

    assert too_many_missing(comparison, one) is held


@pytest.mark.parametrize(
    ("ignore", "old", "new", "is_change"),
    [
        (["/ageMs"], {"ageMs": 1}, {"ageMs": 2}, False),
        (["/ageMs"], {"ageMs": 1}, {}, False),
        (["/ageMs"], {"ageMs": 1, "n": 1}, {"ageMs": 2, "n": 2}, True),
        (["/ageMs"], {"x": {"ageMs": 1}}, {"x": {"ageMs": 2}}, True),
        (["/*/ageMs"], {"x": {"ageMs": 1}, "ageMs": 1}, {"x": {}, "ageMs": 1}, False),
        (["/*/ageMs"], {"ageMs": 1}, {"ageMs": 2}, True),
        (["/links/*"], {"links": {"self": 1}}, {"links": {"next": 2}}, False),
        (["/links/*"], {"links": {"self": 1}}, {}, True),
        (["/links/*"], {"links": [1, 2]}, {"links": [3]}, False),
        (["/links/*"], {"links": {}}, {"links": []}, True),
        (["/links/*/at"], {"links": [{"at": 1}]}, {"links": [{"at": 2}]}, False),
        (["/links/*/at"], {"links": [{"at": 1}]}, {"links": [{"at": 1}, {"at": 2}]}, True),
        (["/links/1"], {"links": [1, 2, 3]}, {"links": [1, 9, 3]}, False),
        (["/links/1"], {"links": [1, 2]}, {"links": [1]}, False),
        (["/a~1b/~0"], {"a/b": {"~": 1}}, {"a/b": {"~": 2}}, False),
        (["/orderStage"], {"orderStage": "open"}, {"orderStage": "paid"}, False),
        (["/x"], {"x": True, "n": 1}, {"x": 1, "n": True}, True),
    ],
)
def test_a_change_of_what_is_ignored_is_none(
    ignore: list[str], old: dict[str, Any], new: dict[str, Any], is_change: bool
) -> None:
    compared = changes([order("A", **old)], [order("A", **new)], ignore=tuple(ignore))
    assert [event.event_type for event in compared.events] == ["order_updated"] * is_change
    if compared.events:
        assert compared.events[0].data == order("A", **new)
        assert compared.events[0].previous == order("A", **old)


STATUS_RULES = {"/status/phase": "phase_change", "orderStage": "stage_change", "/tags/0": "main_tag"}


def test_a_rule_may_name_a_member_below_the_top() -> None:
    old, new = order("A", status={"phase": "new", "n": 1}), order("A", status={"phase": "done", "n": 1})
    (event,) = changes([old], [new], changes=STATUS_RULES).events

    assert event.event_type == "phase_change"
    assert event.data == new | {"previousPhase": "new", "newPhase": "done"}
    assert event.previous == old


def test_what_changes_beside_a_member_below_the_top_is_told_of_too() -> None:
    old, new = order("A", status={"phase": "new", "n": 1}), order("A", status={"phase": "done", "n": 2})
    assert [event.event_type for event in changes([old], [new], changes=STATUS_RULES).events] == [
        "phase_change",
        "order_updated",
    ]


def test_a_member_below_the_top_may_come_and_go() -> None:
    one, other = changes(
        [order("A", status={}), order("B", tags=["x"])],
        [order("A", status={"phase": None}), order("B", tags=["y"])],
        changes=STATUS_RULES,
    ).events

    assert one.data == order("A", status={"phase": None}, newPhase=None)
    assert (other.event_type, other.data) == ("main_tag", order("B", tags=["y"], previous0="x", new0="y"))


def test_a_rule_says_nothing_of_what_is_ignored_below_it() -> None:
    old, new = order("A", status={"at": 1, "n": 1}), order("A", status={"at": 2, "n": 1})
    rules = {"status": "status_change"}
    assert changes([old], [new], changes=rules, ignore=("/status/at",)).events == ()
    assert changes([old], [new], changes=rules, ignore=("/status",)).events == ()
    assert [one.event_type for one in changes([old], [new], changes=rules).events] == ["status_change"]


def test_an_item_that_is_marked_as_deleted_is_gone_and_one_that_comes_back_is_created() -> None:
    there, marked = order("A", n=1, archived=False), order("A", n=2, archived=True)
    (gone,) = changes([there], [marked], deleted="/archived").events

    assert (gone.event_type, gone.data, gone.previous) == ("order_deleted", there, there)
    assert changes([marked], [marked | {"n": 3}], deleted="/archived").events == ()
    assert changes([marked], [], deleted="/archived").events == ()
    assert changes([], [marked], deleted="/archived").events == ()
    (back,) = changes([marked], [there], deleted="/archived").events
    assert (back.event_type, back.data) == ("order_created", there)


def test_items_that_are_marked_count_as_missing() -> None:
    route = legacy_route(deleted="archived")
    old = extract(listed(*(order(number) for number in range(10)), order("x", archived=1)), route)
    new = extract(listed(*(order(number, archived=True) for number in range(10))), route)

    comparison = matched(old, new, route, NOW_MS)
    assert (comparison.count_before, comparison.missing_count) == (10, 10)


BAD = b'{"orderID":"A","n":"\\ud83d"}'


def beside(one: bytes, other: bytes, **settings: Any) -> Compared:
    """What leads from a list with `one` to a list with `other`, each beside a good item."""
    route = legacy_route(**settings)
    texts = (b'{"docs":[{"orderID":"Z"}%b]}' % (b"," + item if item else b"") for item in (one, other))
    old, new = (extract(text, route) for text in texts)
    return compare(old, new, route, NOW_MS)


def test_of_an_item_that_can_not_be_compared_nothing_is_told_while_it_is_there() -> None:
    good = orjson.dumps(order("A", n="b"))
    assert beside(good, BAD) == beside(b"", BAD) == beside(BAD, BAD) == Compared((), frozenset(), ())
    assert beside(BAD, BAD.replace(b"83d", b"83e")).events == ()


def test_an_item_that_can_be_compared_again_is_updated_without_what_it_was() -> None:
    (event,) = beside(BAD, orjson.dumps(order("A", n="b"))).events

    assert (event.event_type, event.action, event.data) == ("order_updated", "update", order("A", n="b"))
    assert (event.previous, event.metadata) == (None, {"omitted": ["previous"]})


def test_an_item_that_could_not_be_compared_and_goes_is_deleted() -> None:
    compared = beside(BAD, b"")
    (event,) = compared.events

    assert (event.event_type, event.entity_id, event.data, event.previous) == (
        "order_deleted",
        "A",
        None,
        None,
    )
    assert event.metadata == {"omitted": ["data", "previous"]}
    assert compared.oversized == ()


def test_two_names_of_a_map_that_change_places_are_two_changes() -> None:
    route = legacy_route(shape="map", changes={})
    old, new = (
        extract(text, route)
        for text in (b'{"docs":{"a":{"n":1},"b":{"n":2}}}', b'{"docs":{"b":{"n":1},"a":{"n":2}}}')
    )
    events = compare(old, new, route, NOW_MS).events
    assert [(one.entity_id, one.data, one.previous) for one in events] == [
        ("b", {"n": 1}, {"n": 2}),
        ("a", {"n": 2}, {"n": 1}),
    ]


def test_events_have_the_routes_members() -> None:
    settings: dict[str, Any] = {"members": {"customer": "7"}, "key": ("customer", "orderID"), "changes": {}}
    created, changed = changes([order("A")], [order("B"), order("A", n=1)], **settings).events[:2]

    assert (created.entity_id, created.data) == ("7:B", order("B", customer="7"))
    assert changed.data == order("A", n=1, customer="7")
    assert changed.previous == order("A", customer="7")


def test_an_item_that_moves_to_another_list_is_neither_deleted_nor_created() -> None:
    route = legacy_route(also=("/closed",), changes={})
    moved = order("A", done=True)

    def both(first: list[Any], second: list[Any]) -> Items:
        return extract(b"".join(sequence_of([listed(*first), listed(*second)])), route)

    (event,) = compare(both([order("A")], []), both([], [moved]), route, NOW_MS).events
    assert (event.event_type, event.data, event.previous) == ("order_updated", moved, order("A"))
    assert compare(both([order("A")], []), both([], [order("A")]), route, NOW_MS).events == ()
    # While it is in both, the first counts.
    assert compare(both([order("A")], []), both([order("A")], [moved]), route, NOW_MS).events == ()


def test_members_that_events_add_are_the_routes_own_too() -> None:
    route = legacy_route(changes={"/status/phase": "phase_change"}, members={"customer": "7"})
    assert derived_members(route) == {"previousPhase", "newPhase", "customer"}


def test_items_whose_keys_have_one_hash_are_told_apart() -> None:
    route = legacy_route(changes={})
    old, new = (
        extract(listed(*items), route) for items in ((order("A"), order("B")), (order("B"), order("A", n=1)))
    )
    # Which texts have one hash changes from run to run: one is put in the place of another here.
    for items in (old, new):
        items.hashes[:] = array("I", [7, 7])
        list(items._indexing())

    (event,) = compare(old, new, route, NOW_MS).events
    assert (event.event_type, event.entity_id) == ("order_updated", "A")
