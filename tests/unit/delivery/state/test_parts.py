"""gateway/delivery/state/parts.py: what a state is cut into, and that streams and answers hold the same."""

import json

import orjson
import pytest
from multidict import MultiDict

from gateway.core.events import Cursor, Position
from gateway.core.grants import Grant, Scope
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.state.parts import PART_BYTES, PartsBuilder, StateParts
from gateway.delivery.state.question import StateQuestion, question_of
from gateway.ports.state import StateItem
from tests.support.streams import frames_of

CURSOR = Cursor("e", Position(7, 1))


def question(scope: Scope | None = None, **query: str) -> StateQuestion:
    selector = parse_selector(MultiDict(query), {})
    asked = question_of(Selector(selector.entities, frozenset(), selector.filters, frozenset(), scope))
    assert asked is not None
    return asked


def built(
    asked: StateQuestion, *batches: tuple[str, list[StateItem]], part_bytes: int = PART_BYTES
) -> StateParts:
    builder = PartsBuilder(asked, CURSOR, part_bytes)
    for entity_type, items in batches:
        for _ in builder.adding(entity_type, items):
            pass
    return builder.finished(1_764_200_000_000, "v", 5.0)


def item(entity_id: str, **data: object) -> StateItem:
    return StateItem(entity_id, orjson.dumps(data))


def frames(state: StateParts):
    framed = b"".join(part.framed(chunked=True, gzip=False) for part in state.parts)
    return frames_of(framed, chunked=True)


def shown(state: StateParts) -> list[tuple[str, str, object]]:
    return [
        (frame.data["entityType"], one["entityId"], one["data"])
        for frame in frames(state)
        for one in frame.data["items"]
    ]


ORDERS = [item(str(number), n=number, text="x" * 100) for number in range(50)]


def test_the_parts_hold_every_item_in_order_and_count():
    state = built(question(entity="order"), ("order", ORDERS[:20]), ("order", ORDERS[20:]), part_bytes=1000)
    assert shown(state) == [("order", one.entity_id, json.loads(one.data)) for one in ORDERS]
    told = frames(state)
    assert [frame.data["part"] for frame in told] == list(range(1, len(told) + 1))
    assert len(told) > 5


def test_the_last_part_alone_says_so_and_has_the_id():
    told = frames(built(question(entity="order"), ("order", ORDERS), part_bytes=1000))
    assert [frame.data["last"] for frame in told] == [False] * (len(told) - 1) + [True]
    assert [frame.id for frame in told] == [None] * (len(told) - 1) + [str(CURSOR)]
    assert {frame.data["cursor"] for frame in told} == {str(CURSOR)}
    assert {frame.event for frame in told} == {"state"}


@pytest.mark.parametrize("length", range(80, 120))
def test_a_part_has_no_more_than_its_bytes(length):
    items = [item(str(number), text="x" * length) for number in range(200)]
    state = built(question(entity="order"), ("order", items), part_bytes=1000)
    sizes = [len(part.framed(chunked=False, gzip=False)) for part in state.parts]
    assert max(sizes) <= 1000
    assert min(sizes[:-1]) > 1000 - length - 100


def test_an_item_that_is_larger_than_a_part_is_one():
    large = item("2", text="x" * 5000)
    state = built(question(entity="order"), ("order", [ORDERS[0], large, ORDERS[1]]), part_bytes=1000)
    assert [len(frame.data["items"]) for frame in frames(state)] == [1, 1, 1]


def test_an_empty_state_is_one_part_without_items():
    [frame] = frames(built(question(entity="order")))
    assert frame.data == {"entityType": "order", "items": [], "part": 1, "last": True, "cursor": str(CURSOR)}
    assert frame.id == str(CURSOR)


def test_types_come_one_after_the_other_and_one_without_items_has_no_part():
    asked = StateQuestion(("bill", "job", "order"), Selector())
    state = built(asked, ("bill", []), ("job", [item("1", n=1)]), ("order", []))
    assert [(frame.data["entityType"], frame.data["last"]) for frame in frames(state)] == [("job", True)]


def test_what_is_not_selected_is_left_out():
    asked = question(entity="order", filter="n=gte.40")
    assert [entity_id for _, entity_id, _ in shown(built(asked, ("order", ORDERS)))] == [
        str(number) for number in range(40, 50)
    ]
    one = question(entity="order:7")
    assert [entity_id for _, entity_id, _ in shown(built(one, ("order", ORDERS)))] == ["7"]


def test_rows_and_members_that_are_not_granted_are_left_out_and_the_cursor_has_the_scope():
    [given] = parse_selector(MultiDict(filter="n=eq.3"), {}).filters
    scope = Scope.of([Grant("order", filters=(given,), members=frozenset({"n"}))])
    state = built(question(scope, entity="order"), ("order", ORDERS))
    assert shown(state) == [("order", "3", {"n": 3})]
    assert state.cursor.scope == scope.text
    assert str(state.cursor).endswith(scope.text)


def test_an_item_is_written_as_events_are():
    state = built(
        question(entity="order"), ("order", [StateItem("1", b'{"n" : 1.50,\r\n"big":18446744073709551617}')])
    )
    assert shown(state) == [("order", "1", {"n": 1.5, "big": 1.8446744073709552e19})]
    assert b"\r" not in state.parts[0].framed(chunked=False, gzip=False)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("gzip", [True, False])
def test_every_coding_and_framing_holds_the_same(chunked, gzip):
    state = built(question(entity="order"), ("order", ORDERS), part_bytes=2000)
    for part in state.parts:
        plain = part.framed(chunked=False, gzip=False)
        framed = part.framed(chunked=chunked, gzip=gzip)
        assert [frame[:3] for frame in frames_of(framed, chunked=chunked, gzip=gzip)] == [
            frame[:3] for frame in frames_of(plain)
        ]


def test_what_http_carries_is_one_object_for_everybody():
    [part] = built(question(entity="order"), ("order", ORDERS)).parts
    assert part.framed(chunked=True, gzip=False) is part.framed(chunked=True, gzip=False)
    assert part.framed(chunked=True, gzip=True) is part.framed(chunked=True, gzip=True)


@pytest.mark.parametrize("batches", [(), (("order", ORDERS),), (("job", ORDERS[:1]), ("order", ORDERS))])
def test_the_answer_has_the_same_items_and_as_many_bytes_as_it_says(batches):
    state = built(StateQuestion(("job", "order"), Selector()), *batches, part_bytes=1000)
    body = b"".join(state.json())
    assert len(body) == state.json_size
    told = json.loads(body)
    assert list(told) == ["cursor", "items", "asOf"]
    assert (told["cursor"], told["asOf"]) == (str(CURSOR), "2025-11-26T23:33:20.000Z")
    assert [(one["entityType"], one["entityId"], one["data"]) for one in told["items"]] == shown(state)


def test_the_tag_is_of_the_items_the_history_and_the_scope():
    def tag(*items: StateItem, at: Cursor = CURSOR, scope: Scope | None = None) -> str:
        builder = PartsBuilder(question(scope, entity="order"), at)
        for _ in builder.adding("order", items):
            pass
        return builder.finished(1, None, 0.0).etag

    same = tag(ORDERS[1])
    assert tag(ORDERS[1], at=Cursor("e", Position(12345, 0))) == same
    others = {
        tag(ORDERS[1], ORDERS[2]),
        tag(ORDERS[2]),
        tag(ORDERS[1], at=Cursor("f", Position(7, 1))),
        tag(ORDERS[1], scope=Scope.of([Grant("order")])),
    }
    assert len(others | {same}) == 5
    assert same.startswith('W/"')
