"""The publishing handler beside a log that takes its time."""

import asyncio
import gc
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from gateway.access.principal import OPEN
from gateway.core.errors import InvalidEvents, LogError
from gateway.core.events import MAX_ERRORS, Event, Position
from gateway.http.principal import PRINCIPAL
from gateway.http.publish import PublishHandler, PublishLimits
from gateway.ports.log import Appended
from gateway.runtime.refusals import REFUSALS, Refusals
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock, ManualClock
from tests.support.loop import let_others_run
from tests.support.scheduler import ManualScheduler
from tests.support.shaky_log import ShakyLog

LIMITS = PublishLimits(max_event_bytes=1000, max_request_bytes=10_000, max_batch=10, body_seconds=10.0)


class SlowLog(ShakyLog):
    """Appends once it `may_append`."""

    def __init__(self) -> None:
        super().__init__()
        self.may_append = asyncio.Event()

    async def append(self, events: Sequence[Event]) -> Appended:
        await self.may_append.wait()
        return await super().append(events)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        return await self.append(events)


def request_of(body: object, content_type: str = "application/json", **headers: str) -> web.Request:
    payload = StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(orjson.dumps(body))
    payload.feed_eof()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    app = web.Application()
    app[REFUSALS] = Refusals(lambda: ManualScheduler(ManualClock()))
    request = make_mocked_request(
        "POST",
        "/api/v1/sync/events",
        headers={"Content-Type": content_type, **named},
        payload=payload,
        app=app,
    )
    request[PRINCIPAL] = OPEN
    return request


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}])
async def test_what_was_begun_is_published_and_counted_when_the_client_is_gone(
    clock: ManualClock, headers: dict[str, str]
) -> None:
    log = SlowLog()
    handler = PublishHandler(log, clock, LIMITS)
    answer = asyncio.create_task(handler.post(request_of({"eventType": "notice"}, **headers)))
    await let_others_run()
    answer.cancel()
    await let_others_run()
    assert answer.cancelled()
    log.may_append.set()
    await let_others_run()
    assert len(await log.latest(10)) == 1
    assert handler.counters.events == 1


async def test_a_failure_after_the_client_is_gone_is_no_loose_end(clock: ManualClock) -> None:
    loose: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: loose.append(context))
    log = SlowLog()
    handler = PublishHandler(log, clock, LIMITS)
    request = request_of({"eventType": "notice"})
    answer = asyncio.create_task(handler.post(request))
    await let_others_run()
    answer.cancel()
    await let_others_run()
    log.lose()
    log.may_append.set()
    await let_others_run()
    # Its traceback would keep the work alive.
    del answer
    gc.collect()
    assert loose == []
    assert request.app[REFUSALS].counts == {"log-unavailable": 1}
    assert handler.counters.events == 0


async def test_a_failure_is_told_to_the_client(clock: ManualClock) -> None:
    log = SlowLog()
    log.lose()
    log.may_append.set()
    with pytest.raises(LogError):
        await PublishHandler(log, clock, LIMITS).post(request_of({"eventType": "notice"}))


class PromptLog(ShakyLog):
    """Appends at once, but not while it `must_wait`."""

    def __init__(self) -> None:
        super().__init__()
        self.must_wait = False

    def append_now(self, events: Sequence[Event]) -> Appended | None:
        if self.must_wait:
            return None
        self.put_events(*events)
        return Appended(self.epoch, [Position(1, 0)])


def finished(answer: Coroutine[Any, Any, web.Response]) -> web.Response:
    """What it gives, which takes no turn of the loop."""
    with pytest.raises(StopIteration) as ended:
        answer.send(None)
    response: web.Response = ended.value.value
    return response


async def test_a_log_that_need_not_wait_is_asked_at_once(clock: ManualClock) -> None:
    log = PromptLog()
    handler = PublishHandler(log, clock, LIMITS)
    assert finished(handler.post(request_of(NOTICE))).body == b'{"cursor":"e.1-0","ids":["e.1-0"]}'
    log.must_wait = True
    response = await handler.post(request_of(NOTICE))
    assert response.body == b'{"cursor":"e.2-0","ids":["e.2-0"]}'
    assert handler.counters.events == len(await log.latest(10)) == 2


EVENTS_A_SLICE = 10
NOTICE = {"eventType": "notice"}
CLOUDEVENT = {"specversion": "1.0", "id": "1", "source": "shop", "type": "notice"}
CLOUDEVENTS = "application/cloudevents-batch+json"
LARGE = replace(LIMITS, max_batch=1000, max_request_bytes=10**6)


async def turns_of(answer: "asyncio.Task[web.Response]") -> int:
    """How many turns of the loop it took."""
    turns = 0
    while not answer.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.parametrize(
    ("event", "content_type", "steps"),
    [(NOTICE, "application/json", 1), (CLOUDEVENT, CLOUDEVENTS, 2)],
)
async def test_many_events_are_parsed_in_slices(event: object, content_type: str, steps: int) -> None:
    log = ShakyLog()
    handler = PublishHandler(log, BusyClock(SLICE_SECONDS / EVENTS_A_SLICE), LARGE)
    answer = asyncio.create_task(handler.post(request_of([event] * 1000, content_type)))
    assert await turns_of(answer) >= steps * 1000 / (EVENTS_A_SLICE + 2)
    assert answer.result().status == 201
    assert len(await log.latest(2000)) == 1000


async def test_one_event_waits_for_no_turn_of_the_loop() -> None:
    clock = BusyClock(SLICE_SECONDS)
    waited = []
    for events in ([NOTICE], [NOTICE] * 20):
        handler = PublishHandler(ShakyLog(), clock, LARGE)
        waited.append(await turns_of(asyncio.create_task(handler.post(request_of(events)))))
    assert waited[0] == waited[1] < 10


async def test_of_many_events_each_bad_place_is_named_up_to_the_bound() -> None:
    log = ShakyLog()
    handler = PublishHandler(log, ManualClock(), LARGE)
    too_large = {**NOTICE, "data": {"text": "x" * 2000}}
    with pytest.raises(InvalidEvents) as refused:
        await handler.post(request_of([too_large, *[{}] * 3, *[NOTICE] * 100, {}]))
    assert [place["pointer"] for place in refused.value.errors] == [
        f"/{index}/eventType" for index in (1, 2, 3, 104)
    ]
    with pytest.raises(InvalidEvents) as refused:
        await handler.post(request_of([{}] * 1000))
    assert len(refused.value.errors) == MAX_ERRORS
    assert await log.latest(1) == []
