"""What a caller is given by every way there is, from outside, and whether the ways agree."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from gateway.core.events import Cursor, Position
from tests.support.api import HISTORY, POLL, Client, Stream
from tests.support.http import DEADLINE_SECONDS
from tests.support.sse import Frame

CONTROL = frozenset({"connected", "heartbeat", "refresh"})
_SOON = (("debounceMs", 50), ("maxWaitMs", 50))
_HINTS = (("hints", "only"), *_SOON)
_LONG = 1000

Query = Sequence[tuple[str, Any]]


class Told(NamedTuple):
    """What every way gave alike: events without their ids, the entities hinted; and all bytes that came."""

    events: list[dict[str, Any]]
    hinted: set[tuple[str, str]]
    raw: bytes


def place(cursor: str) -> Position:
    """Where in the log a cursor stands, whoever has it."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, cursor
    return parsed.position


def scope_of(cursor: str) -> str:
    """The scope of a cursor."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, cursor
    assert parsed.scope, f"{cursor} is of no scope"
    return parsed.scope


class Watch:
    """A caller that came before something happened; what it asks with `query` it is granted."""

    def __init__(self, client: Client, query: Query, since: str, live: Stream, hints: Stream) -> None:
        self._client = client
        self._query = query
        self._live = live
        self._hints = hints
        self._last: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self.since = since
        self.waiting = asyncio.create_task(self._wait())

    async def told(self, last: str) -> Told:
        """What it was given from when it came up to the event at the cursor `last`, which is anybody's."""
        if not self._last.done():
            self._last.set_result(place(last))
        async with asyncio.timeout(DEADLINE_SECONDS):
            hinted = [await self._until(self._hints), await self._replayed(*_HINTS)]
            frames = {
                "live": await self._until(self._live),
                "replayed": await self._replayed(),
                "replayed beside hints": await self._replayed(("hints", "with"), *_SOON),
                "replayed without names": await self._replayed(("format", "message")),
            }
            answers = {
                "polled": await self._polled(limit=1),
                "polled at once": await self._polled(limit=_LONG),
                "waited for": await self.waiting,
                "looked back at": [await self._looked_back()],
            }
        self._check_scopes([*frames.values(), *hinted])
        ways = {way: [one.data for one in came if one.event not in CONTROL] for way, came in frames.items()}
        for way, bodies in answers.items():
            since = place(self.since)
            ways[way] = [one for body in bodies for one in body["events"] if place(one["id"]) > since]
        for way, events in ways.items():
            assert events == ways["live"], f"{way} is not what came live"
        entities = [_entities(came) for came in hinted]
        assert entities[0] == entities[1], "hints again are not the hints that came live"
        # Who comes back for both may get hints for what came shortly before as well.
        known = {
            (one.get("entityType"), one.get("entityId")) for one in answers["looked back at"][0]["events"]
        }
        assert _entities(frames["replayed beside hints"]) <= known, "a hint for what the caller may not see"
        raw = b"".join(one.raw for came in [*frames.values(), *hinted] for one in came)
        raw += repr(answers).encode()
        events = [{name: one[name] for name in one if name != "id"} for one in ways["live"]]
        return Told(events, entities[0], raw)

    def _check_scopes(self, came: list[list[Frame]]) -> None:
        own = scope_of(self.since)
        for frame in (frame for frames in came for frame in frames):
            assert frame.id is not None
            assert scope_of(frame.id) == own
            assert frame.data.get("id", frame.id) == frame.data.get("cursor", frame.id) == frame.id

    async def _until(self, stream: Stream) -> list[Frame]:
        """The frames up to the last event, or a heartbeat that says that nothing more came."""
        frames: list[Frame] = []
        last = await self._last
        while not frames or place(frames[-1].id or self.since) < last:
            frames.append(await stream.any())
        return frames

    async def _replayed(self, *more: tuple[str, Any]) -> list[Frame]:
        query = [*self._query, *more]
        async with self._client.stream(query, headers=[("Last-Event-ID", self.since)]) as stream:
            connected = await stream.connected()
            assert connected.data["recovered"] is True
            return [connected, *await self._until(stream)]

    async def _polled(self, limit: int) -> list[Any]:
        """The answers up to the last event."""
        bodies: list[Any] = [{"cursor": self.since, "events": []}]
        while place(bodies[-1]["cursor"]) < await self._last:
            bodies.append(await self._poll(bodies[-1]["cursor"], ("limit", limit)))
        return bodies

    async def _wait(self) -> list[Any]:
        """The answers of long polls, of which the first begins before anything has happened."""
        bodies: list[Any] = [{"cursor": self.since, "events": []}]
        while not self._last.done() or place(bodies[-1]["cursor"]) < self._last.result():
            bodies.append(await self._poll(bodies[-1]["cursor"], ("wait", 0.3)))
        return bodies

    async def _poll(self, cursor: str, *more: tuple[str, Any]) -> Any:
        answer = await self._client.get(POLL, [*self._query, ("cursor", cursor), *more])
        assert answer.status == 200, answer.body
        assert "reset" not in answer.json
        assert scope_of(answer.json["cursor"]) == scope_of(self.since)
        return answer.json

    async def _looked_back(self) -> Any:
        answer = await self._client.get(HISTORY, [*self._query, ("limit", _LONG)])
        assert answer.status == 200, answer.body
        return answer.json


def _entities(frames: list[Frame]) -> set[tuple[str, str]]:
    return {(one.data["entityType"], one.data["entityId"]) for one in frames if one.event == "refresh"}


@asynccontextmanager
async def watching(port: int, token: str, query: Query = ()) -> AsyncIterator[Watch]:
    """Watches as the caller of `token`, from now on, for what `query` asks for."""
    client = Client(port, token)
    answer = await client.get(POLL, query)
    assert answer.status == 200, answer.body
    async with client.stream(query) as live, client.stream([*query, *_HINTS]) as hints:
        await live.connected()
        await hints.connected()
        watch = Watch(client, query, answer.json["cursor"], live, hints)
        try:
            yield watch
        finally:
            watch.waiting.cancel()
