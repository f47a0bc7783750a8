"""Several gateways on one log: its server, what they are told, and clients that move between them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson

from gateway.core.events import Cursor
from tests.support.api import JSON, Client, event
from tests.support.http import Response
from tests.support.postgres import PostgresServer, log_database, log_schema, own_server
from tests.support.redis import RedisServer, redis_server, redis_url

LAST = "the_end"
"""The type of the event after which there are no more."""


@asynccontextmanager
async def shared_log(kind: str) -> AsyncIterator[str]:
    """The URL of a fresh log on a server of that kind, "postgres" or "redis"."""
    if kind == "redis":
        yield redis_url()
    else:
        async with log_schema() as url:
            yield url


def flags_in(url: str) -> str:
    """The setting `flags.store` by which flags are where that shared log is."""
    return "postgres" if url.startswith("postgres") else "redis"


class Broken(NamedTuple):
    """A log, and the server that it is on, which a test breaks."""

    url: str
    server: PostgresServer | RedisServer

    async def restart(self, end: Callable[[], None]) -> None:
        """Ends the server in that way, and starts it again."""
        await asyncio.to_thread(end)
        await asyncio.to_thread(self.server.start)


@asynccontextmanager
async def breakable(kind: str) -> AsyncIterator[Broken]:
    """A fresh log on a server of its own, of the kind "postgres" or "redis", which keeps what it takes."""
    if kind == "redis":
        with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
            yield Broken(server.url, server)
    else:
        with own_server() as server:
            async with log_database(server.url()) as url:
                yield Broken(url, server)


def toml(**sections: dict[str, Any]) -> str:
    """A configuration file of these sections: JSON's values are TOML's too, as far as settings go."""
    lines = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {orjson.dumps(value).decode()}" for name, value in settings.items()]
    return "\n".join([*lines, ""])


def position(event_id: str) -> tuple[int, int]:
    """Where an event stands in its history."""
    cursor = Cursor.parse(event_id)
    assert cursor is not None
    return cursor.position.major, cursor.position.minor


class Wanderer:
    """A client that carries one cursor from node to node, and keeps the ids of what it got.

    Fails where it is told of a gap that it was not to have.
    """

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.ids: list[str] = []
        self.is_over = False
        """Whether it got the event of type LAST."""

    async def stream(self, port: int, count: float = float("inf")) -> None:
        """Reads a stream until it has that many more events or LAST, or until the connection is gone."""
        enough = len(self.ids) + count
        try:
            async with Client(port).stream(headers=[("Last-Event-ID", self.cursor)]) as stream:
                assert (await stream.connected()).data["recovered"] is True
                while len(self.ids) < enough and not self.is_over:
                    frame = await stream.next()
                    assert frame.event != "reset", frame
                    if frame.event != "bye" and frame.data is not None:
                        self._take([frame.data])
                    self.cursor = frame.id or self.cursor
        except (EOFError, ConnectionError):
            return

    async def poll(self, port: int, limit: int) -> None:
        answer = await Client(port).poll(cursor=self.cursor, limit=limit, wait=1)
        assert "reset" not in answer, answer
        self._take(answer["events"])
        self.cursor = answer["cursor"]

    def _take(self, events: Iterable[dict[str, Any]]) -> None:
        for given in events:
            self.ids.append(given["id"])
            self.is_over = self.is_over or given["eventType"] == LAST


async def publish_once(ports: Iterable[int], events: list[dict[str, Any]], key: str) -> Response:
    """Publishes under a key at the first node that answers: at the next where one dies meanwhile."""
    for port in ports:
        try:
            headers = [JSON, ("Idempotency-Key", key)]
            return await Client(port).request(
                "POST", "/api/v1/sync/events", headers=headers, body=orjson.dumps(events)
            )
        except (EOFError, ConnectionError):
            continue
    raise AssertionError("no node answers")


async def publish_last(port: int) -> str:
    """Publishes the event that ends every Wanderer, and gives its id."""
    (event_id,) = await Client(port).publish(event(eventType=LAST))
    return event_id
