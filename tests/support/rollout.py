"""A gateway that guards a rollout, on a clock that a test turns, and callers of any name and address."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import orjson

from flags.decide.rollout import in_cohort
from tests.support.admin import ORDERS, Operator, operator
from tests.support.api import JSON, POLL, Client, Stream, eventually
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS, Headers, Response
from tests.support.legacy import listed, order, route_settings
from tests.support.tokens import auth_settings, bearer, mint
from tests.support.upstream import Upstream

TELEMETRY = "/api/v1/sync/telemetry"
WINDOW_SECONDS = 60
QUIET_SECONDS = 7
"""So long after a change nothing counts: a tenth of a window, and the second that begins after it."""
SERIOUS = {
    "windowSeconds": WINDOW_SECONDS,
    "minSamples": 10,
    "dryRun": False,
    "autoPromote": True,
    "successesToPromote": 1,
}
FORGER = "203.0.113.66"
"""The address of who has none of its own."""
VERSION = "2.1.0"
NOW = ManualClock().wall_ms() / 1000
"""When the clock of every rollout begins, in seconds since 1970."""


class Caller:
    """Somebody of a name: the subject of its token with authentication, a client id from an address without.

    Its address is said by a proxy that the gateway trusts. `now` is the gateway's time, in seconds since
    1970: None for that of this machine.
    """

    def __init__(
        self, port: int, name: str, address: str, *, authenticated: bool, now: float | None = NOW
    ) -> None:
        self.name = name
        self._fields: list[tuple[str, str]] = [("X-Forwarded-For", address)]
        self._query: list[tuple[str, str]] = [("component", "orders")]
        if authenticated:
            self._fields.append(bearer(mint(name, subscribe=["order"], publish=["order"], now=now)))
        else:
            self._query.append(("clientId", name))
        self.client = Client(port)

    async def get(self, path: str, *more: tuple[str, str], headers: Headers = ()) -> Response:
        """`more` are further parameters."""
        query = [*self._query, *more]
        return await self.client.get(path, query, headers=[*self._fields, *headers])

    async def poll(self) -> None:
        assert (await self.get(POLL)).status == 200

    async def send(self, path: str, value: Any = None, headers: Headers = ()) -> Response:
        """Posts `value` as JSON."""
        fields = [JSON, *self._fields, *headers]
        return await self.client.request("POST", path, headers=fields, body=orjson.dumps(value))

    async def report(self, **members: Any) -> None:
        """Says something of a stream on which it is."""
        given = {"component": "orders", "mode": "streaming", "clientVersion": VERSION} | members
        assert (await self.send(TELEMETRY, given)).status == 202

    @asynccontextmanager
    async def stream(self, *more: tuple[str, str], headers: Headers = ()) -> AsyncIterator[Stream]:
        query = [*self._query, *more]
        async with self.client.stream(query, headers=[*self._fields, *headers]) as stream:
            yield stream

    async def open(self, stack: AsyncExitStack, *more: tuple[str, str], headers: Headers = ()) -> str:
        """A stream that stays open as long as `stack`; the client id that it was given."""
        stream = await stack.enter_async_context(self.stream(*more, headers=headers))
        client_id: str = (await stream.connected()).data["clientId"]
        return client_id


class GuardedRollout:
    """The component `orders` of a gateway, which polls its upstream for all and pushes what it finds."""

    def __init__(
        self,
        gateway: GatewayThread,
        backend: Upstream,
        clock: ManualClock,
        admin: Operator,
        *,
        authenticated: bool,
    ) -> None:
        self.gateway = gateway
        self.backend = backend
        self.clock = clock
        self.admin = admin
        self.authenticated = authenticated
        self.open = 0
        """How many streams `opened` holds."""
        self._numbers = count()

    def caller(self, name: str, address: str = FORGER) -> Caller:
        return Caller(self.gateway.port, name, address, authenticated=self.authenticated)

    def people(self, number: int, percentage: float, *, streaming: bool) -> list[Caller]:
        """So many callers whom the percentage draws to stream, or to poll; each has an address of its own."""
        found = []
        while len(found) < number:
            index = next(self._numbers)
            if in_cohort("orders", name := f"user-{index}", percentage) == streaming:
                found.append(self.caller(name, f"198.51.{100 + index // 250}.{index % 250}"))
        return found

    async def go_live(self, percentage: float, **guard: Any) -> None:
        """The flag, and the time after it in which nothing counts."""
        await self.admin.make(stage="live", percentage=percentage, guard=SERIOUS | guard)
        await self.seconds(QUIET_SECONDS)

    async def streams(self, number: int) -> None:
        """Waits until the gateway has counted so many streams: what a client sees may have been before."""
        evidence = self.gateway.parts.migration.evidence

        async def holds() -> bool:
            return self.gateway.call(lambda: evidence.streams("orders")) == number

        await eventually(holds, f"{number} streams are counted")

    async def second(self) -> None:
        """Lets a second pass, and the guard judge."""
        self.clock.advance(1)
        work = self.gateway.parts.migration.guard_loop.tick()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.gateway.loop))

    async def seconds(self, number: int, each: Callable[[int], Awaitable[object]] | None = None) -> None:
        """Lets so many seconds pass, one by one; `each` happens in every one of them."""
        for index in range(number):
            if each is not None:
                await each(index)
            await self.second()

    async def verdict(self) -> dict[str, Any]:
        """What the guard says."""
        response = await self.admin.get(f"{ORDERS}/guard")
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def flag(self) -> dict[str, Any]:
        return dict((await self.admin.get(ORDERS)).json())

    async def is_as_it_was(self, percentage: float) -> None:
        """The guard has neither rolled back nor promoted."""
        flag = await self.flag()
        assert (flag["latch"], flag["percentage"], flag["revision"]) == (None, percentage, 1)


async def all_of(work: Iterable[Awaitable[object]], at_once: int = 50) -> None:
    """Awaits all, a few at a time: each takes a connection."""
    gate = asyncio.Semaphore(at_once)

    async def one(what: Awaitable[object]) -> None:
        async with gate:
            await what

    await asyncio.gather(*map(one, work))


@asynccontextmanager
async def opened(
    rollout: GuardedRollout, callers: Sequence[Caller], *, acknowledged: bool = True
) -> AsyncIterator[list[str]]:
    """A stream of each of the callers, whose first event came; gives the streams' client ids.

    Once it is left the gateway has seen them end.
    """
    async with AsyncExitStack() as stack:
        ids = [await caller.open(stack, ("clientVersion", VERSION)) for caller in callers]
        rollout.open += len(callers)
        await rollout.streams(rollout.open)
        if acknowledged:
            reports = zip(callers, ids, strict=True)
            await all_of(caller.report(clientId=one, firstEventMs=20) for caller, one in reports)
        yield ids
    rollout.open -= len(callers)
    await rollout.streams(rollout.open)


@asynccontextmanager
async def guarded_rollout(
    start_gateway: Callable[..., GatewayThread],
    backend: Upstream,
    flags_file: Any,
    *,
    authenticated: bool,
    **route: Any,
) -> AsyncIterator[GuardedRollout]:
    """No flag is there yet. `route` are settings of the legacy route."""
    backend.says(listed(order("A", orderStage="open")))
    clock = ManualClock()
    sections: dict[str, Any] = {
        "server": {"drain_seconds": 1.0, "trusted_proxies": ["127.0.0.1"]},
        "flags": {"store": f"file:{flags_file}"},
        "legacy": [route_settings(backend.url, 3600.0, events="poll", write_poll_seconds=0.0, **route)],
    }
    if authenticated:
        sections["auth"] = auth_settings()
    gateway = start_gateway(make_settings(**sections), clock=clock)
    async with operator(gateway.port) as admin:
        if authenticated:
            name, value = bearer(mint("operator", admin=True, now=NOW))
            admin.http.headers[name] = value
        yield GuardedRollout(gateway, backend, clock, admin, authenticated=authenticated)
