"""What a tracker makes of answers of all kinds: which are good, which are served all the same."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.upstream.failures import BadAnswer
from gateway.core.events import Cursor
from gateway.ports.legacy_route import Functions, Pages
from gateway.ports.upstreams import Snapshot
from tests.support.clock import ManualClock
from tests.support.followed import Followed
from tests.support.legacy import listed, order

CREATED, UPDATED, DELETED = "order_created", "order_updated", "order_deleted"
HALF = b'{"docs":[{"orderID":"A"},{"orderID":"B","n":"\\ud83d"}]}'


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [one.__dict__["fields"] for one in caplog.records if one.getMessage() == event]


def good(one: Followed) -> Snapshot:
    assert one.tracker.snapshot is not None
    return one.tracker.snapshot


@pytest.mark.parametrize("body", [b"<html>", b'{"docs":7}', listed({}), listed(order("A"), order("A"))])
async def test_an_answer_that_can_not_be_compared_is_there_to_be_served(
    clock: ManualClock, body: bytes
) -> None:
    one = Followed(clock)
    await one.says(listed(order("A")))
    base = good(one)
    await one.log.append([])
    kind = await one.refuses(body, ETag='"v2"', X_Page="1")

    unusable = one.tracker.unusable
    assert unusable is not None
    assert (unusable.body, unusable.problem, unusable.etag) == (body, kind, '"v2"')
    assert unusable.headers["X-Page"] == "1"
    assert one.tracker.snapshot is base
    assert await one.log.held() == []


async def test_the_first_answer_of_all_may_be_one_that_can_not_be_compared(clock: ManualClock) -> None:
    one = Followed(clock)
    assert not one.tracker.has_begun
    await one.refuses(b"<html>")

    assert one.tracker.has_begun
    assert one.tracker.snapshot is None
    await one.says(listed(order("A")))
    assert one.tracker.unusable is None
    assert await one.log.held() == []


async def test_what_changed_meanwhile_is_told_once_an_answer_can_be_compared(clock: ManualClock) -> None:
    one = Followed(clock)
    await one.says(listed(order("A")))
    for _ in range(2):
        await one.refuses(b"<html>")
    await one.says(listed(order("B")))

    assert one.tracker.unusable is None
    assert await one.log.held() == [(DELETED, "A"), (CREATED, "B")]


async def test_each_answer_that_can_not_be_compared_is_a_new_one_at_its_own_position(
    clock: ManualClock,
) -> None:
    one = Followed(clock)
    await one.says(listed())
    await one.refuses(b"<html>")
    first = one.tracker.unusable
    clock.advance(5)
    await one.refuses(b"<html>")
    second = one.tracker.unusable

    assert first is not None
    assert second is not None
    assert second is not first
    assert (second.asked_at - first.asked_at, second.digest) == (5, first.digest)
    assert Cursor.parse(second.cursor) is not None


@pytest.mark.parametrize("again", [None, listed(order("A"))])
async def test_the_last_good_answer_is_what_is_asked_about_and_counts_again_where_it_is_confirmed(
    clock: ManualClock, again: bytes | None
) -> None:
    one = Followed(clock)
    await one.says(listed(order("A")), ETag='"v1"')
    await one.refuses(b"<html>", ETag='"v2"')
    await one.says(again, ETag='"v1"')

    assert one.asked_with[-1] == {"If-None-Match": '"v1"'}
    assert one.tracker.unusable is None
    assert good(one).body == listed(order("A"))


async def test_a_held_answer_ends_that_the_one_before_is_served(clock: ManualClock) -> None:
    one = Followed(clock, max_delete_ratio=0.5)
    await one.says(listed(*(order(number) for number in range(10))))
    await one.refuses(b"<html>")
    await one.says(listed())

    assert one.tracker.unusable is None
    assert len(await one.tracker.items_of(good(one))) == 10


@pytest.mark.parametrize("first", ["good", "unusable"])
async def test_an_entity_tag_that_a_good_and_an_unusable_answer_share_is_not_trusted(
    clock: ManualClock, first: str
) -> None:
    one = Followed(clock)
    await one.says(listed(), ETag='"v0"')
    if first == "good":
        await one.says(listed(order("A")), ETag='"v1"')
        await one.refuses(b"<html>", ETag='"v1"')
    else:
        await one.refuses(b"<html>", ETag='"v1"')
        await one.says(listed(order("A")), ETag='"v1"')

    shown = one.tracker.unusable or good(one)
    assert one.counters.etags_reused == 1
    assert '"v1"' not in (shown.etag, good(one).etag)
    await one.says(listed(order("A")), ETag='"v1"')
    assert one.asked_with[-1] == {}
    assert good(one).etag == f'"{good(one).digest}"'


async def test_a_bad_item_stops_no_other(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    one = Followed(clock)
    await one.says(listed(order("A", n=1), order("B")))
    with caplog.at_level(logging.WARNING):
        await one.says(HALF)
        await one.says(HALF + b" ")
        await one.says(listed(order("A"), order("B")))

    assert await one.log.held() == [(UPDATED, "A"), (UPDATED, "B")]
    assert one.counters.bad_items == {"unreadable": 2}
    (line,) = lines(caplog, "upstream_items_left_out")
    assert (line["kinds"], line["first"]) == ({"unreadable": 1}, [{"item": 1, "kind": "unreadable"}])


async def test_bad_items_are_named_again_where_they_are_others(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = Followed(clock)
    with caplog.at_level(logging.WARNING):
        for body in (
            listed(order("A"), {}),
            listed({}, order("A")),
            listed(order("A")),
            listed({}, order("A")),
        ):
            await one.says(body)

    assert [line["first"][0]["item"] for line in lines(caplog, "upstream_items_left_out")] == [1, 0, 0]


async def test_a_status_that_means_no_items_is_an_empty_list(clock: ManualClock) -> None:
    one = Followed(clock, empty=(404,))
    await one.says(listed(order("A")))
    await one.says(listed(order("A")), status=404)
    assert good(one).status == 404
    await one.says(b"gone", status=404)
    await one.says(listed(order("A")))

    assert (good(one).status, await one.log.held()) == (200, [(DELETED, "A"), (CREATED, "A")])


async def test_a_route_without_events_serves_whatever_comes_and_tells_nothing(clock: ManualClock) -> None:
    one = Followed(clock, events="none")
    for body in (listed(order("A")), b"<html>", listed(order("B"))):
        await one.says(body)
        assert (good(one).body, one.tracker.unusable) == (body, None)

    assert await one.log.held() == []
    assert one.items == {}
    assert list(await one.tracker.items_of(good(one))) == ["B"]
    await one.says(b"<html>")
    with pytest.raises(BadAnswer):
        await one.tracker.items_of(good(one))


@pytest.mark.parametrize("settings", [{"pages": Pages("/next")}, {"also": ("/closed",)}])
async def test_a_list_of_several_answers_is_one(clock: ManualClock, settings: dict[str, Any]) -> None:
    one = Followed(clock, **settings)
    first = listed(order(1), order(2))
    await one.says(first, listed(order(3)), ETag='"v1"')
    await one.says(first, listed(order(3), order(4)), ETag='"v1"')
    await one.says(listed(order(2)), listed(order(3), order(1)), ETag='"v1"')

    assert one.counters.etags_reused == 0
    # The last change is read twice: an item that is missing may only have moved while it was asked for.
    assert one.asked_with == [{}] * 4
    assert await one.log.held() == [(CREATED, "4"), (DELETED, "4")]
    assert good(one).body == listed(order(2))
    assert list(await one.tracker.items_of(good(one))) == ["2", "3", "1"]


async def test_one_bad_page_makes_the_answer_one_that_can_not_be_compared(clock: ManualClock) -> None:
    one = Followed(clock, pages=Pages("/next"))
    await one.says(listed(order(1)), listed(order(2)))
    with pytest.raises(BadAnswer):
        await one.says(listed(order(1)), b"<html>")

    assert one.tracker.unusable is not None
    assert one.tracker.unusable.body == listed(order(1))
    assert len(await one.tracker.items_of(good(one))) == 2


async def test_functions_make_what_the_items_are_read_from(clock: ManualClock) -> None:
    given = []

    async def made(bodies: Sequence[bytes], content_type: str) -> bytes:
        given.append((tuple(bodies), content_type))
        if bodies[0] == b"bad":
            raise BadAnswer("decode", "The function raised ValueError.")
        return b"[%b]" % b",".join(b'{"orderID":"%b"}' % body for body in bodies)

    one = Followed(clock, made=made, functions=Functions(decode="shop:lines"), also=("/closed",))
    await one.says(b"A", b"B", Content_Type="text/csv")
    await one.says(b"A", b"B", Content_Type="text/csv")
    await one.says(b"A", b"C", Content_Type="text/csv")
    assert await one.refuses(b"bad") == "decode"

    read = [((b"A", b"B"), "text/csv"), ((b"A", b"C"), "text/csv"), ((b"A", b"C"), "text/csv")]
    assert given == [*read, ((b"bad",), "")]
    assert await one.log.held() == [(DELETED, "B"), (CREATED, "C")]
    assert (good(one).body, good(one).text) == (b"A", b'[{"orderID":"A"},{"orderID":"C"}]')
    assert one.tracker.unusable is not None


async def test_what_came_compressed_is_kept_with_the_body_that_it_gives(clock: ManualClock) -> None:
    one = Followed(clock)
    one.coded = b"packed"
    await one.says(listed(), ETag='"v1"')
    first = good(one)
    one.coded = b"packed anew"
    await one.says(listed(), ETag='"v1"')
    assert (good(one).coded, good(one).coded_etag) == (b"packed", '"v1"')
    await one.says(listed(), ETag='"v2"')
    assert (good(one).coded, good(one).coded_etag) == (b"packed anew", '"v2"')

    assert good(one).body is first.body
    assert good(one).etag == first.etag == f'"{first.digest}"'


async def test_what_can_not_be_read_under_new_settings_is_where_comparing_begins_anew(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = Followed(clock, items="/old")
    await before.says(b'{"old":[{"orderID":"A"}]}')
    one = Followed(clock)
    one.tracker.adopt(good(before))
    await one.says(listed(order("B")))
    await one.says(listed(order("C")))

    assert await one.log.held() == [(DELETED, "B"), (CREATED, "C")]
    assert [line["kind"] for line in lines(caplog, "upstream_base_lost")] == ["no_list"]


async def test_an_answer_that_other_functions_read_is_read_anew(clock: ManualClock) -> None:
    async def made(bodies: Sequence[bytes], content_type: str) -> bytes:
        return b'[{"orderID":"made of %d"}]' % len(bodies)

    plain, mapped = Followed(clock), Followed(clock, made=made, functions=Functions(map="shop:plain"))
    await plain.says(listed(order(1)))
    await mapped.says(listed(order(1)))
    before = good(plain), good(mapped)
    plain.tracker.adopt(before[1])
    mapped.tracker.adopt(before[0])

    plain.items.clear()
    assert list(await plain.tracker.items_of(before[1])) == ["1"]
    assert list(await mapped.tracker.items_of(before[0])) == ["made of 1"]


async def test_what_other_functions_made_of_a_list_in_parts_is_no_base(clock: ManualClock) -> None:
    async def made(bodies: Sequence[bytes], content_type: str) -> bytes:
        return b'[{"orderID":1}]'

    parts = {"also": ("/closed",)}
    mapped = Followed(clock, made=made, functions=Functions(map="shop:plain"), **parts)
    await mapped.says(listed(order(1)), listed(order(2)))
    plain = Followed(clock, **parts)
    plain.tracker.adopt(good(mapped))
    await plain.says(listed(order(1)), listed(order(2)))

    assert await plain.log.held() == []
    assert list(await plain.tracker.items_of(good(plain))) == ["1", "2"]
