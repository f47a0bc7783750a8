"""Upstreams on real ports that say what a test tells them to, and the gateway's legacy paths in front."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, cast

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from gateway.core.events import ORIGIN, Cursor, Event, Position
from gateway.core.header_fields import HeadLimits
from gateway.delivery.sockets import StreamSockets
from gateway.http.admittance import Admittance
from gateway.http.client_address import Clients
from gateway.http.front import Front
from gateway.http.front_door import FRONT_DOOR, FrontDoor
from gateway.http.hosts import Hosts
from gateway.http.legacy.paths import add_legacy_routes
from gateway.http.long_answers import LongAnswers
from gateway.http.marks import Marks
from gateway.http.opening import StreamOptions
from gateway.http.request_head import RequestHead
from gateway.http.server import GatewayRunner, GatewaySite
from gateway.http.terms import Terms
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.wanted import WantedRows
from gateway.runtime.half_close import HALF_CLOSED_SECONDS
from gateway.runtime.latencies import Latencies
from gateway.runtime.refusals import REFUSALS, Refusals
from gateway.service.wiring.http import Way
from tests.support.legacy import PATH, legacy_route
from tests.support.tcp_server import accepting

NOW = "now.7-0"
"""What the legacy paths of `in_front_of` take for the cursor of now."""

PATIENCE_SECONDS = 60.0
"""How long a test waits for something that has to happen, before it fails."""
STALL_SECONDS = 30.0
"""How long a client of these servers may not read."""
WAY: Way = "front_door"
"""How requests come in to the gateways of `in_front_of`; the fixture `way_in` has its tests run over both."""

# No resource of these gateways opens any.
_NO_STREAMS = cast(StreamSockets, None)
_OF_STREAMS = StreamOptions(15.0, 2000, 0, 0, 65_536, gzip=False)


class Asked(NamedTuple):
    """A request as an upstream saw it."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Upstream:
    """A backend that answers with `answering`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.cancelled = asyncio.Event()
        self._grown = asyncio.Condition()
        self.answering: Answering = plain(b'{"docs":[]}')

    def says(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        """From now on answers with `body`; a header field's name has its dashes as underscores."""
        self.answering = plain(body, status=status, **headers)

    async def was_asked(self, times: int) -> None:
        """Returns once that many requests have come since the start."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._grown:
            await self._grown.wait_for(lambda: len(self.asked) >= times)

    async def asked_again(self, times: int = 1) -> None:
        """Returns once that many more requests have come."""
        await self.was_asked(len(self.asked) + times)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        answering = self.answering
        asked = Asked(request.method, request.raw_path, request.headers, await request.read())
        async with self._grown:
            self.asked.append(asked)
            self._grown.notify_all()
        try:
            return await answering(request)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def takes_writes(reading: Answering, written: Callable[[], None] = lambda: None) -> Answering:
    """Takes every POST, which does `written`, and answers others with `reading`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return await reading(request)
        written()
        return web.Response()

    return answer


def plain(body: bytes, *, status: int = 200, **headers: str) -> Answering:
    """Answers with `body`, or 304 where the request has the very ETag of `headers`."""
    fields = CIMultiDict({"Content-Type": "application/json"})
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})

    async def answer(request: web.Request) -> web.StreamResponse:
        etag = fields.get("ETag")
        if etag is not None and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(status=status, body=body, headers=fields)

    return answer


def held_until(gate: asyncio.Event, body: bytes) -> Answering:
    """Answers with `body` once `gate` is set."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(body=body, content_type="application/json")

    return answer


@contextlib.asynccontextmanager
async def upstream(half_closed_seconds: float = HALF_CLOSED_SECONDS) -> AsyncIterator[Upstream]:
    """An Upstream that listens on a free port of the loopback."""
    backend = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", backend.handle)
    async with listening(app, half_closed_seconds) as url:
        backend.url = url + "/orders"
        yield backend


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, half_closed_seconds: float = HALF_CLOSED_SECONDS
) -> AsyncIterator[str]:
    """Serves `app` on a free port of the loopback, as the gateway serves; gives the URL without a path."""
    runner = GatewayRunner(app, half_closed_seconds=half_closed_seconds)
    await runner.setup()
    try:
        await GatewaySite(runner, "127.0.0.1", 0, STALL_SECONDS).start()
        yield site_url(runner)
    finally:
        await runner.cleanup()


def site_url(runner: GatewayRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


def raw_answer(body: bytes, *fields: bytes) -> bytes:
    """An answer of JSON with these field lines more, for `raw_upstream`."""
    head = [b"HTTP/1.1 200 OK", b"Content-Type: application/json", b"Connection: close", *fields]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


@contextlib.asynccontextmanager
async def raw_upstream(*answers: bytes, silent: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Writes `answers`, one to a connection (the last one again and again), and closes it.

    With `silent` the connection stays open, and nothing more comes. Gives the URL and the requests' heads.
    """
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answers[min(len(heads), len(answers)) - 1])
            await writer.drain()
            if silent:
                await reader.read()

    async with accepting(serve) as port:
        yield f"http://127.0.0.1:{port}/orders", heads


class Gateway(NamedTuple):
    """The legacy paths in front of an upstream, and what is behind them."""

    url: str
    log: MemoryLog
    source: UpstreamSource
    client: aiohttp.ClientSession
    route: LegacyRoute
    problems: Counter[str]

    async def get(self, **headers: str) -> "Got":
        return await self.request("GET", PATH, headers=headers)

    async def request(self, method: str, target: str, **options: object) -> "Got":
        """`options` are those of aiohttp's client."""
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            self.client.request(method, URL(self.url + target, encoded=True), **options) as answer,  # type: ignore[arg-type]
        ):
            return Got(answer.status, answer.headers, await answer.read())

    async def events(self, after: Position = ORIGIN) -> list[Event]:
        """What the log holds after a position."""
        return [record.event for record in await self.log.read(after, 10_000)]

    async def events_after(self, cursor: str) -> list[Event]:
        """What a stream would get that resumes from `cursor`."""
        parsed = Cursor.parse(cursor)
        assert parsed is not None
        assert parsed.epoch == self.log.epoch
        return await self.events(parsed.position)

    async def next_events(self, count: int, after: Position = ORIGIN) -> list[Event]:
        """The first `count` events after a position, once they are there."""
        events: list[Event] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with contextlib.aclosing(self.log.tail(after)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    events += [record.event for record in batch]
                    if len(events) >= count:
                        break
        return events


class Got(NamedTuple):
    """An answer of the gateway."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def cache_status(self) -> str:
        return self.headers["Cache-Status"]


class _TermsOf:
    """The terms of a component whose mode is given, for everybody."""

    def __init__(self, mode: Callable[[str], str]) -> None:
        self._mode = mode

    async def legacy(self, request: RequestHead, component: str, members: Mapping[str, str]) -> Terms:
        return self.legacy_at_once(request, component, members)

    def legacy_at_once(self, request: RequestHead, component: str, members: Mapping[str, str]) -> Terms:
        return Terms(self._mode(component))


@contextlib.asynccontextmanager
async def in_front_of(
    upstream_url: str,
    clock: Clock,
    *,
    wanted: Callable[[str], bool] = lambda entity: False,
    mode: Callable[[str], str] = lambda component: "streaming",
    half_closed_seconds: float = HALF_CLOSED_SECONDS,
    trusted_proxies: Sequence[str] = (),
    modules: str = ".",
    rows: WantedRows | None = None,
    beside: Sequence[LegacyRoute] = (),
    way: Way | None = None,
    **settings: object,
) -> AsyncIterator[Gateway]:
    """The legacy route of `tests.legacy` with `settings`, on a free port, and a memory log behind it.

    Any write may bring forward a poll. Other routes may stand `beside` it. The functions of `settings` are in
    `modules`. `way` is how requests come in, WAY where it is not given.
    """
    log = MemoryLog(clock, max_events=10_000, max_age_seconds=1e9, max_bytes=2**26)
    route = legacy_route(upstream=upstream_url, **({"write_poll_seconds": 0.0} | settings))
    source = UpstreamSource([route, *beside], log, wanted, clock, rows=rows, modules=modules)
    refusals = Refusals()
    hosts = Hosts(None)
    front = Front(
        hosts, Admittance(None, hosts, lambda credentials: None), None, refusals, Latencies(), clock.monotonic
    )
    app = web.Application(middlewares=[front.middleware()])
    app[REFUSALS] = refusals
    at_once = add_legacy_routes(
        *(app, source, _TermsOf(mode), lambda: NOW, Clients(trusted_proxies), LongAnswers())
    )
    if (way or WAY) == "front_door":
        app[FRONT_DOOR] = FrontDoor(
            *(app.router, dict(at_once), front, Marks(), refusals, _NO_STREAMS, _OF_STREAMS, HeadLimits())
        )
    await log.start()
    await source.start()
    try:
        async with (
            listening(app, half_closed_seconds) as url,
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
            ) as client,
        ):
            yield Gateway(url, log, source, client, route, refusals.counts)
    finally:
        await source.close()
        await log.close()
