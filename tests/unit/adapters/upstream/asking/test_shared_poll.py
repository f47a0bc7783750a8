"""Routes that ask for the same: what they share, and when they ask anew."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.asking.fetch import Asked, Fetched
from adapters.upstream.asking.shared_poll import Asker, SharedPolls
from adapters.upstream.failures import BadAnswer
from gateway.core.errors import UpstreamError
from gateway.core.events import Cursor, Position
from gateway.ports.legacy_route import LegacyRoute, Pages, UpstreamTls
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route
from tests.support.loop import until

INTERVAL = 2.0


class World:
    """An upstream that says `answer`, and a log whose head is `head`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.head = Cursor("e", Position(1, 0))
        self.answer: Fetched | UpstreamError | None = fetched(b"1")
        self.asked: list[Mapping[str, str]] = []
        self.gate: asyncio.Event | None = None
        self.polls = SharedPolls(self.fetch, self.ask_head, self.clock)

    async def fetch(self, route: LegacyRoute, validators: Mapping[str, str]) -> Fetched | None:
        self.asked.append(validators)
        answer = self.answer
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    async def ask_head(self) -> Cursor:
        return self.head

    def asker(self, **settings: Any) -> Asker:
        return self.polls.asker(legacy_route(**({"interval_seconds": INTERVAL} | settings)))


def fetched(body: bytes) -> Fetched:
    return Fetched(CIMultiDictProxy(CIMultiDict()), body)


@pytest.fixture
def world() -> World:
    return World()


async def test_two_routes_that_ask_for_the_same_cost_one_request_an_interval(world: World) -> None:
    one, other = world.asker(), world.asker(items="/other", key="id", path="/other")

    for _ in range(3):
        await one({})
        await other({})
        world.clock.advance(INTERVAL)

    assert len(world.asked) == 3


async def test_who_takes_anothers_answer_is_told_when_it_was_asked_for(world: World) -> None:
    one, other = world.asker(), world.asker()
    began, began_ms = world.clock.monotonic(), world.clock.wall_ms()
    await one({})
    world.clock.advance(1.0)
    world.head = Cursor("e", Position(5, 0))

    answer = await other({})

    assert answer is not None
    assert answer.asked == Asked(began, began, began_ms, "e.1-0")


async def test_who_asks_by_itself_is_told_nothing_of_it(world: World) -> None:
    one, _other = world.asker(), world.asker()

    answer = await one({})

    assert answer is not None
    assert answer.asked is None


async def test_a_route_alone_keeps_nothing_and_asks_each_time(world: World) -> None:
    one = world.asker()

    await one({})
    await one({"If-None-Match": "x"})

    assert world.asked == [{}, {"If-None-Match": "x"}]


async def test_the_shortest_interval_counts(world: World) -> None:
    slow, quick = world.asker(interval_seconds=60.0), world.asker(interval_seconds=1.0)
    await slow({})
    world.clock.advance(0.8)
    await quick({})
    assert len(world.asked) == 1
    world.clock.advance(0.2)
    await quick({})

    assert len(world.asked) == 2


async def test_whoever_wants_it_meanwhile_waits_for_the_request_under_way(world: World) -> None:
    one, other = world.asker(), world.asker()
    world.gate = asyncio.Event()
    first, second = asyncio.ensure_future(one({})), asyncio.ensure_future(other({}))
    await until(lambda: len(world.asked) == 1, "one asks")

    world.gate.set()
    await asyncio.gather(first, second)

    assert len(world.asked) == 1


async def test_after_a_write_it_is_asked_for_anew(world: World) -> None:
    one, other = world.asker(), world.asker()
    await one({})

    one.outdate()
    await other({})
    await one({})

    assert len(world.asked) == 2


async def test_what_was_asked_for_before_a_write_is_for_whoever_asked_alone(world: World) -> None:
    one, other = world.asker(), world.asker()
    world.gate = asyncio.Event()
    first, second = asyncio.ensure_future(one({})), asyncio.ensure_future(other({}))
    await until(lambda: len(world.asked) == 1, "one asks")
    other.outdate()
    world.answer = fetched(b"2")

    world.gate.set()
    answers = await asyncio.gather(first, second)

    assert [None if answer is None else answer.body for answer in answers] == [b"1", b"2"]


async def test_where_the_log_has_started_over_it_is_asked_for_anew(world: World) -> None:
    one, other = world.asker(), world.asker()
    await one({})
    world.head = Cursor("f", Position(1, 0))

    await other({})

    assert len(world.asked) == 2


async def test_validators_are_sent_of_the_last_answer_alone(world: World) -> None:
    one, other = world.asker(), world.asker()
    await one({})
    await other({})
    world.clock.advance(INTERVAL)
    world.answer = None
    assert await one({"If-None-Match": "1"}) is None
    # Nothing changed: it is still the answer that the other has.
    again = await other({"If-None-Match": "1"})
    assert again is not None
    assert again.body == b"1"
    world.clock.advance(INTERVAL)
    world.answer = fetched(b"2")
    await one({"If-None-Match": "1"})
    world.clock.advance(INTERVAL)

    await other({"If-None-Match": "1"})

    assert world.asked == [{}, {"If-None-Match": "1"}, {"If-None-Match": "1"}, {}]


async def test_an_error_is_shared_as_an_answer_is(world: World) -> None:
    one, other = world.asker(), world.asker()
    world.answer = BadAnswer("status", "It failed.")
    for asker in (one, other):
        with pytest.raises(BadAnswer):
            await asker({})
    assert len(world.asked) == 1

    world.clock.advance(INTERVAL)
    world.answer = fetched(b"1")

    assert await other({}) is not None


async def test_routes_that_are_gone_are_nobody(world: World) -> None:
    one, other = world.asker(), world.asker()
    await one({})
    del other

    await one({})

    assert len(world.asked) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"query": "page=2"},
        {"upstream": "http://127.0.0.1:9000/other"},
        {"headers": {"Authorization": "Bearer other"}},
        {"method": "POST", "body": "{}"},
        {"tls": UpstreamTls("ca.pem")},
        {"follow_redirects": True},
        {"public_url": "https://api.shop.example"},
        {"pages": Pages(next="/next")},
        {"also": ["/other"]},
        {"max_body_bytes": 7},
        {"timeout_seconds": 7.0},
        {"empty": ["null", 404]},
    ],
)
async def test_what_asks_for_something_else_shares_nothing(world: World, settings: dict[str, Any]) -> None:
    one, other = world.asker(), world.asker(**settings)

    await one({})
    await other({})

    assert len(world.asked) == 2
