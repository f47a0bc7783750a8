"""Whatever an upstream answers, and whoever else publishes: a cursor misses nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from aiohttp import ClientError
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.tracker import Tracker
from gateway.core.errors import UpstreamError
from gateway.core.events import Cursor, Event
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.comparing import extract
from tests.support.legacy import legacy_route, listed, order

ROUTE = legacy_route(deleted="/gone")
KEYS = [f"ORDER-{number}" for number in range(14)]
# Of each order its stage; None where it is marked as deleted.
ITEMS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["open", "billed", "paid", None]), max_size=14)


class Step(NamedTuple):
    """One poll: what the upstream says, and what others publish before and while it answers."""

    said: bytes | None
    before: list[str]
    meanwhile: list[str]


FOREIGN = st.lists(st.sampled_from(["order", "job"]), max_size=2)
ANSWERS = st.builds(
    lambda items, bad: listed(
        *bad, *(order(key, orderStage=stage, gone=stage is None) for key, stage in items.items())
    ),
    ITEMS,
    st.sampled_from([[], [], [None], [{}, 7]]),
)
STEPS = st.lists(
    st.builds(Step, ANSWERS | st.sampled_from([b"<html>", b'{"docs":null}', None]), FOREIGN, FOREIGN),
    max_size=8,
)


class Seen(NamedTuple):
    """What a caller got after a poll, and the foreign orders that were published before the poll began."""

    items: Mapping[str, Any]
    cursor: Cursor
    known: frozenset[str]


def items_of(body: bytes) -> dict[str, Any]:
    return {key: orjson.loads(item) for key, item in extract(body, ROUTE).items()}


def fold(items: Mapping[str, Any], events: list[Event]) -> dict[str, Any]:
    """What a client holds that began with `items` and applied `events`, whether or not it knew them."""
    held = dict(items)
    for event in events:
        if event.source != ROUTE.source or event.entity_id is None:
            continue
        if event.action == "delete":
            held.pop(event.entity_id, None)
        else:
            assert event.data is not None
            added = ("previousStage", "newStage")
            held[event.entity_id] = {name: value for name, value in event.data.items() if name not in added}
    return held


async def follow(steps: list[Step]) -> tuple[list[Seen], MemoryLog, Tracker, list[str]]:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=100_000, max_age_seconds=1e9, max_bytes=2**30)
    published: list[str] = []

    async def publish(entities: list[str]) -> None:
        for entity in entities:
            key = f"foreign-{len(published)}"
            published.append(key)
            await log.append([Event("note", entity, key, "signal", "2026-11-20T10:30:00.123Z")])

    async def ask(validators: Mapping[str, str]) -> Fetched | None:
        await publish(step.meanwhile)
        if step.said is None:
            raise UpstreamError("The upstream is down.") from ClientError()
        return Fetched(CIMultiDictProxy(CIMultiDict()), step.said)

    tracker = Tracker(ROUTE, log, ask, clock, {}, RouteCounters(), Slices(clock))
    seen = []
    for step in steps:
        await publish(step.before)
        known = frozenset(published)
        clock.advance(1)
        try:
            taken = await tracker.poll()
        except UpstreamError:
            continue
        if taken and tracker.snapshot is not None:
            cursor = Cursor.parse(tracker.snapshot.cursor)
            assert cursor is not None
            seen.append(Seen(items_of(tracker.snapshot.body), cursor, known))
    return seen, log, tracker, published


@given(STEPS)
def test_the_events_after_any_cursor_lead_from_its_answer_to_the_last_one(steps: list[Step]) -> None:
    async def check() -> None:
        seen, log, _, _ = await follow(steps)
        for one in seen:
            records = await log.read(one.cursor.position, 100_000)
            assert fold(one.items, [record.event for record in records]) == seen[-1].items

    asyncio.run(check())


@given(STEPS)
def test_what_others_publish_of_the_entity_after_the_question_comes_after_the_cursor(
    steps: list[Step],
) -> None:
    async def check() -> None:
        seen, log, _, _ = await follow(steps)
        everything = await log.read(Cursor.parse("x.0-0").position, 100_000)  # type: ignore[union-attr]
        for one in seen:
            for record in everything:
                event = record.event
                if event.event_type == "note" and event.entity_type == "order":
                    assert event.entity_id in one.known or record.position > one.cursor.position

    asyncio.run(check())


@given(STEPS)
def test_without_others_nothing_that_an_answer_shows_comes_after_its_cursor(steps: list[Step]) -> None:
    async def check() -> None:
        quiet = [step._replace(before=[], meanwhile=[]) for step in steps]
        for count in range(len(quiet) + 1):
            seen, log, _, _ = await follow(quiet[:count])
            if seen:
                assert await log.read(seen[-1].cursor.position, 10) == []

    asyncio.run(check())
