"""What a client does with the gateway, in the words of docs/protocol.md, on tests.support.http."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from multidict import CIMultiDict
from prometheus_client.parser import text_string_to_metric_families

from tests.support.http import DEADLINE_SECONDS, Connection, Headers, Response, connect
from tests.support.sse import Frame, FrameReader
from tests.support.tokens import bearer

GZIP = ("Accept-Encoding", "gzip")
EVENTS = "/api/v1/sync/events"
POLL = "/api/v1/sync/poll"
HISTORY = "/api/v1/sync/history"
STATE = "/api/v1/sync/state"

Query = Mapping[str, Any] | Sequence[tuple[str, Any]]
JSON = ("Content-Type", "application/json")


def target(path: str, query: Query = ()) -> str:
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def event(number: int = 0, *, of: str = "ORDER-001", **members: Any) -> dict[str, Any]:
    """An update of an order; `data.n` tells one from another."""
    return {
        "eventType": "stage_change",
        "entityType": "order",
        "entityId": of,
        "data": {"n": number},
    } | members


def numbers(events: Sequence[Mapping[str, Any]]) -> list[int]:
    """`data.n` of each event."""
    return [given["data"]["n"] for given in events]


def assert_problem(response: Response, status: int) -> None:
    """The answer is a problem as RFC 9457 describes it, and tells nothing of what is inside the gateway."""
    assert (response.status, response.headers["Content-Type"]) == (status, "application/problem+json")
    for telltale in (
        b"Traceback",
        b".py",
        b"site-packages",
        b"gateway.",
        b"aiohttp",
        b"EventInput",
        b"bytearray(",
    ):
        assert telltale not in response.body, response.body
    if response.body:
        problem = response.json
        assert problem.keys() >= {"type", "title", "status", "detail"}
        assert problem["status"] == status
        assert all(
            error["detail"] and error.keys() & {"pointer", "parameter"} for error in problem.get("errors", [])
        )


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Asks until `holds` says yes. Raises AssertionError with `what` where it never does."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await holds():  # noqa: ASYNC110 - another thread or process makes it true
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


class Stream:
    """An open stream. Frames are read one after the other; none is skipped unless a method says so.

    When a heartbeat comes depends on how slow the machine is: only `any` and `until` give it.
    """

    def __init__(self, connection: Connection, headers: CIMultiDict[str]) -> None:
        self.connection = connection
        self.headers = headers
        self.last_event_id: str | None = None
        self._reader = FrameReader()
        self._frames: list[Frame] = []
        self._body = connection.body(headers)
        is_coded = headers.get("Content-Encoding") == "gzip"
        self._decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if is_coded else None

    async def next(self) -> Frame:
        """The next frame that is no heartbeat. Raises as `any`, and TimeoutError after DEADLINE_SECONDS."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (frame := await self.any()).event == "heartbeat":
                pass
            return frame

    async def any(self) -> Frame:
        """The next frame. Raises EOFError where the stream has ended, properly and with whole frames."""
        while not self._frames:
            part = await anext(self._body, b"")
            if not part:
                self._reader.finish()
                raise EOFError("the stream has ended")
            if self._decoder is not None:
                part = self._decoder.decompress(part)
            self._frames += self._reader.feed(part)
        frame = self._frames.pop(0)
        if frame.id is not None:
            self.last_event_id = frame.id
        return frame

    async def until(self, name: str) -> Frame:
        """The next frame of that name; others are passed over, but not for longer than DEADLINE_SECONDS."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                frame = await self.any()
                if frame.event == name and frame.data is not None:
                    return frame

    async def connected(self) -> Frame:
        """The `connected` frame that every stream starts with."""
        frame = await self.next()
        assert frame.event == "connected"
        return frame

    async def take(self, count: int) -> list[Any]:
        """The data of the next `count` frames that are no heartbeats."""
        return [(await self.next()).data for _ in range(count)]

    async def rest(self) -> list[Frame]:
        """Every frame up to the stream's proper end, but for heartbeats."""
        frames = []
        while True:
            try:
                frames.append(await self.next())
            except EOFError:
                return frames


class Client:
    """A client of one gateway: a connection a request, so that none depends on another.

    With a `token` it sends that in every request, as Bearer.
    """

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self._own = [] if token is None else [bearer(token)]

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        headers: Headers = (),
        body: bytes | None = None,
        version: str = "HTTP/1.1",
    ) -> Response:
        async with connect(self.port) as connection:
            fields = [*self._own, *headers]
            await connection.request(method, target(path, query), headers=fields, body=body, version=version)
            return await connection.response(to_head=method == "HEAD")

    async def get(self, path: str, query: Query = (), *, headers: Headers = ()) -> Response:
        return await self.request("GET", path, query, headers=headers)

    async def post(
        self,
        value: Any = None,
        *,
        body: bytes | None = None,
        kind: str = "application/json",
        headers: Headers = (),
    ) -> Response:
        """Publishes `value` as JSON, or `body` as it is."""
        given = orjson.dumps(value) if body is None else body
        return await self.request("POST", EVENTS, headers=[("Content-Type", kind), *headers], body=given)

    async def publish(self, *events: Mapping[str, Any]) -> list[str]:
        """Publishes a list that has to be taken, and gives the ids."""
        response = await self.post(list(events))
        assert response.status == 201, response.body
        ids: list[str] = response.json["ids"]
        return ids

    async def poll(self, **query: Any) -> dict[str, Any]:
        response = await self.get(POLL, query)
        assert response.status == 200, response.body
        answer: dict[str, Any] = response.json
        return answer

    async def now(self) -> str:
        """The cursor of the head."""
        cursor: str = (await self.poll())["cursor"]
        return cursor

    @asynccontextmanager
    async def stream(
        self,
        query: Query = (),
        *,
        path: str = EVENTS,
        headers: Headers = (),
        version: str = "HTTP/1.1",
        receive_buffer: int | None = None,
    ) -> AsyncIterator[Stream]:
        """An open stream of which nothing has been read."""
        async with connect(self.port, receive_buffer=receive_buffer) as connection:
            fields = [*self._own, *headers]
            await connection.request("GET", target(path, query), headers=fields, version=version)
            status, answered = await connection.head()
            assert status == 200
            yield Stream(connection, answered)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of /metrics that have this name and these labels; 0 where there is none."""
        response = await self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(response.body.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def metric_becomes(self, name: str, value: float, **labels: str) -> None:
        async def holds() -> bool:
            return await self.metric(name, **labels) == value

        await eventually(holds, f"{name}{labels or ''} is {value}")


@asynccontextmanager
async def undisturbed(client: Client) -> AsyncIterator[None]:
    """Checks that a bystander's stream sees nothing of what happens, and that the gateway has no failure."""
    async with client.stream() as bystander:
        await bystander.connected()
        await client.publish(event(1))
        yield
        await client.publish(event(2))
        assert numbers(await bystander.take(2)) == [1, 2]
    assert await client.metric("tidegate_problems_total", problem="internal") == 0
    assert (await client.get("/readyz")).status == 200
