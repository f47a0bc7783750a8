"""What one caller can make of the guard by itself: neither a rollback nor a promotion.

Twelve people a side fare well beside the forger, and ten are enough for a verdict: one that fared badly would
be one of thirteen, and above every threshold.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.api import EVENTS, POLL, Client, event
from tests.support.gateway import GatewayThread
from tests.support.legacy import PATH, listed, order
from tests.support.rollout import (
    TELEMETRY,
    WINDOW_SECONDS,
    Caller,
    GuardedRollout,
    all_of,
    guarded_rollout,
    opened,
)
from tests.support.upstream import Upstream

AS_MANY = 440
LONG = WINDOW_SECONDS + WINDOW_SECONDS // 5
PEOPLE = 12
PROVOKED = {500, 502, 504}
"""What comes of an upstream that fails; on a busy machine it may be too slow as well."""

Forgery = Callable[[GuardedRollout, Caller, int], Awaitable[None]]

WITHOUT_NAMES = pytest.mark.parametrize("rollout", [False], indirect=True, ids=["address"])
"""For what only callers of whom no token says who they are can do."""
WITH_NAMES = pytest.mark.parametrize("rollout", [True], indirect=True, ids=["subject"])


@pytest.fixture(params=[True, False], ids=["subject", "address"])
async def rollout(
    request: pytest.FixtureRequest,
    start_gateway: Callable[..., GatewayThread],
    backend: Upstream,
    flags_file: Path,
) -> AsyncIterator[GuardedRollout]:
    """With authentication and one subject, or without and one address. Nobody waits long for an upstream."""
    options = {"authenticated": request.param, "timeout_seconds": 0.2}
    async with guarded_rollout(start_gateway, backend, flags_file, **options) as one:
        yield one


def forger_of(rollout: GuardedRollout, percentage: float) -> Caller:
    """Whose harm would be push's: it is drawn to stream."""
    (found,) = rollout.people(1, percentage, streaming=True)
    return rollout.caller(found.name)


@asynccontextmanager
async def healthy(
    rollout: GuardedRollout, percentage: float
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """People on both sides, as far as there are two, who fare well; gives what they do each second."""
    streaming = rollout.people(PEOPLE, percentage, streaming=True)
    polling = rollout.people(PEOPLE, percentage, streaming=False) if percentage < 100 else []
    async with opened(rollout, streaming):

        async def each(second: int) -> None:
            if second % 10 == 0:
                await all_of(caller.poll() for caller in polling)

        yield each


async def nothing_came_of_it(rollout: GuardedRollout, percentage: float, forgers: int = 1) -> None:
    """No change, and the guard's figures show nobody who fared badly, and the forger once at most."""
    await rollout.is_as_it_was(percentage)
    answer = await rollout.verdict()
    assert answer["action"] is None
    assert answer["state"]["failingSeconds"] is None, answer["sentence"]
    metrics = answer["metrics"]
    assert metrics["errorRate"]["value"] == 0
    assert metrics["fallbackRate"]["value"] == 0
    assert metrics["firstEventSuccess"]["value"] == 1
    assert PEOPLE <= metrics["errorRate"]["samples"] <= PEOPLE + forgers
    assert PEOPLE <= metrics["fallbackRate"]["samples"] <= PEOPLE + forgers


async def invents_reports(rollout: GuardedRollout, forger: Caller, second: int) -> None:
    """As many in a second as an address may send."""
    kinds = ("error", "mute", "short")
    for number in range(20 * second, min(20 * second + 20, AS_MANY)):
        stream = {"clientId": f"made-up-{number}", "attempt": f"a{number}"}
        await forger.report(fallback=kinds[number % 3], **stream)


async def provokes_errors(rollout: GuardedRollout, forger: Caller, second: int) -> None:
    """Its own requests that go through: what the upstream says to them, breaks off, and never says."""
    if second == 0:
        assert (await forger.get(f"{PATH}/slow")).status == 504
    for path in (f"{PATH}/500", f"{PATH}/broken", f"{PATH}/"):
        assert (await forger.get(path, ("boom", "1"))).status in PROVOKED
    assert (await forger.get(PATH, ("boom", "1"))).status in {200, *PROVOKED}
    assert (await forger.send(PATH, {"boom": True})).status in PROVOKED


async def publishes_the_past(rollout: GuardedRollout, forger: Caller, second: int) -> None:
    events = [event(number, timestamp="2020-01-01T00:00:00Z") for number in range(4)]
    assert (await forger.send(EVENTS, events)).status == 201


async def expects_nonsense(rollout: GuardedRollout, forger: Caller, second: int) -> None:
    for path in (EVENTS, POLL, PATH):
        answer = await forger.get(path, headers=[("Expect", "\udcff")])
        assert answer.status < 500


FORGERIES = (invents_reports, provokes_errors, publishes_the_past, expects_nonsense)


@pytest.fixture
def failing(backend: Upstream) -> Iterator[None]:
    """The upstream fails for whoever asks for that, in every way."""
    gate = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/slow"):
            await gate.wait()
        if request.path.endswith("/broken"):
            assert request.transport is not None
            request.transport.close()
        if request.method == "POST" or request.path.endswith("/500") or "boom" in request.query:
            return web.Response(status=500)
        return web.Response(body=listed(order("A", orderStage="open")), content_type="application/json")

    backend.answering = answer
    yield
    gate.set()


@pytest.mark.parametrize("percentage", [50, 100])
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forgery_of_one_caller_rolls_nothing_back_and_promotes_nothing(
    rollout: GuardedRollout, failing: None, forgery: Forgery, percentage: int
) -> None:
    await rollout.go_live(percentage)
    forger = forger_of(rollout, percentage)
    async with healthy(rollout, percentage) as people:

        async def each(second: int) -> None:
            await people(second)
            await forgery(rollout, forger, second)

        await rollout.seconds(LONG, each)
        await nothing_came_of_it(rollout, percentage)


async def test_two_hundred_streams_of_one_caller_that_fail_are_one_that_fails(
    rollout: GuardedRollout,
) -> None:
    await rollout.go_live(100)
    forger, others = forger_of(rollout, 100), rollout.people(2 * PEOPLE, 100, streaming=True)
    async with opened(rollout, others):
        for _ in range(10):
            async with opened(rollout, [forger] * 20, acknowledged=False) as ids:
                for client_id in ids:
                    await forger.report(clientId=client_id, fallback="mute")
                # What an address may report comes back.
                await rollout.seconds(4)
        answer = await rollout.verdict()
        await rollout.is_as_it_was(100)
    metric = answer["metrics"]["fallbackRate"]
    assert metric["samples"] == 2 * PEOPLE + 1
    assert metric["value"] == pytest.approx(1 / metric["samples"])
    assert answer["metrics"]["firstEventSuccess"]["samples"] == 2 * PEOPLE + 1


@WITH_NAMES
async def test_of_a_stream_nobody_but_its_subject_may_report(rollout: GuardedRollout) -> None:
    await rollout.go_live(100)
    forger, others = forger_of(rollout, 100), rollout.people(PEOPLE, 100, streaming=True)
    async with opened(rollout, others) as ids:
        for client_id in ids:
            await forger.report(clientId=client_id, fallback="error")
        await rollout.seconds(LONG // 3)
        await nothing_came_of_it(rollout, 100)
        await others[0].report(clientId=ids[0], fallback="error")
        assert (await rollout.verdict())["metrics"]["fallbackRate"]["value"] == pytest.approx(1 / PEOPLE)


async def test_software_that_never_reports_is_not_held_to_it_by_one_caller_s_reports(
    rollout: GuardedRollout,
) -> None:
    await rollout.go_live(100)
    forger, others = forger_of(rollout, 100), rollout.people(PEOPLE, 100, streaming=True)
    name = [("Tidegate-Client", "viewer/7")]
    report = {"component": "orders", "mode": "streaming", "clientVersion": "7", "attempt": "a"}
    for _ in range(50):
        assert (await forger.send(TELEMETRY, report | {"firstEventMs": 5}, headers=name)).status == 202
    async with AsyncExitStack() as stack:
        for caller in others:
            await caller.open(stack, ("clientVersion", "7"), headers=name)
        await rollout.streams(PEOPLE)
        await rollout.seconds(LONG)
        answer = await rollout.verdict()
        await rollout.is_as_it_was(100)
    assert answer["metrics"]["firstEventSuccess"]["samples"] == 0


async def test_whoever_says_that_it_was_blocked_again_and_again_is_one(rollout: GuardedRollout) -> None:
    await rollout.go_live(100)
    forger, others = forger_of(rollout, 100), rollout.people(2 * PEOPLE, 100, streaming=True)
    async with opened(rollout, others):

        async def says_so(second: int) -> None:
            for number in range(10):
                await forger.report(attempt=f"a{second}-{number}", fallback="blocked")

        await rollout.seconds(LONG // 2, says_so)
        metric = (await rollout.verdict())["metrics"]["fallbackRate"]
        await rollout.is_as_it_was(100)
    assert (metric["samples"], metric["value"]) == (2 * PEOPLE + 1, pytest.approx(1 / (2 * PEOPLE + 1)))


async def test_polls_alone_promote_nothing(rollout: GuardedRollout) -> None:
    """Of one caller, and of a hundred, half of whom are to stream and do not."""
    await rollout.go_live(50)
    forger = forger_of(rollout, 50)
    people = [*rollout.people(60, 50, streaming=True), *rollout.people(60, 50, streaming=False)]

    async def poll(second: int) -> None:
        await all_of(forger.poll() for _ in range(4))
        if second % 30 == 0:
            await all_of(caller.poll() for caller in people)

    await rollout.seconds(LONG + 10, poll)
    await rollout.is_as_it_was(50)
    answer = await rollout.verdict()
    assert answer["verdict"] in ("hold", "inconclusive"), answer["sentence"]
    assert (answer["cohorts"]["streaming"], answer["cohorts"]["polling"]) == (61, 60)


@WITHOUT_NAMES
async def test_an_address_counts_for_fifty_callers_however_many_it_makes_up(rollout: GuardedRollout) -> None:
    await rollout.go_live(100, minSamples=100)
    crowd = [rollout.caller(f"made-up-{number}") for number in range(200)]
    async with opened(rollout, crowd, acknowledged=False) as ids:

        async def fall_back(second: int) -> None:
            for number in range(20 * second, min(20 * second + 20, len(crowd))):
                await crowd[number].report(clientId=ids[number], fallback="error")

        await rollout.seconds(LONG // 2, fall_back)
        answer = await rollout.verdict()
        await rollout.is_as_it_was(100)
    assert answer["verdict"] == "inconclusive"
    metric = answer["metrics"]["fallbackRate"]
    assert (metric["value"], metric["samples"]) == (1, 50)


@WITHOUT_NAMES
async def test_callers_without_a_key_are_told_apart_by_the_address_behind_the_proxy(
    rollout: GuardedRollout,
) -> None:
    """The proxy itself may ask too, say whether the gateway is well."""
    await rollout.go_live(100)
    client = Client(rollout.gateway.port)
    assert (await client.get(POLL, {"component": "orders"})).status == 200
    for number in range(5):
        address = ("X-Forwarded-For", f"203.0.113.{number}")
        assert (await client.get(POLL, {"component": "orders"}, headers=[address])).status == 200
    assert (await rollout.verdict())["metrics"]["errorRate"]["samples"] == 6
