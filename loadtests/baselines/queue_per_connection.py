"""The usual way to fan out with aiohttp-sse: an asyncio.Queue and a task per connection.

Every stream's handler waits on its own queue and awaits `response.send()` for each event. Speaks as much of
the gateway's protocol as the benchmark needs: GET and POST /api/v1/sync/events (docs/protocol.md, sections 4
and 6; of the selection only `entity=`). An event is encoded once, not once per connection, and uvloop is
used where it is installed, so that the comparison is about the design and not about a careless baseline.
"""

import argparse
import asyncio
import secrets
import signal
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from aiohttp_sse import sse_response

EVENTS_PATH = "/api/v1/sync/events"
MAX_BATCH = 1000

# (id, event type, the event as JSON)
Frame = tuple[str, str, str]


class Subscriber:
    """One connection: its queue, and the entity types or `type:id` it asked for (empty: everything)."""

    __slots__ = ("queue", "wanted")

    def __init__(self, wanted: frozenset[str]) -> None:
        self.queue: asyncio.Queue[Frame] = asyncio.Queue()
        self.wanted = wanted

    def wants(self, entity_type: str | None, entity_id: str | None) -> bool:
        """Whether an event of this entity goes to this connection."""
        return not self.wanted or entity_type in self.wanted or f"{entity_type}:{entity_id}" in self.wanted


class Server:
    """The two handlers and what they share: the connections and the last position."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(3)
        self._position = 0
        self._subscribers: set[Subscriber] = set()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_get(EVENTS_PATH, self.stream)
        app.router.add_post(EVENTS_PATH, self.publish)
        return app

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET: `connected`, then every event that the connection asked for, until it goes."""
        values = request.query.getall("entity", [])
        subscriber = Subscriber(frozenset(part for value in values for part in value.split(",") if part))
        async with sse_response(request) as response:
            self._subscribers.add(subscriber)
            try:
                await response.send(self._connected(), id=self._cursor(), event="connected")
                while response.is_connected():
                    event_id, event_type, text = await subscriber.queue.get()
                    await response.send(text, id=event_id, event=event_type)
            except ConnectionResetError:
                pass  # the client is gone; aiohttp logs and closes the rest
            finally:
                self._subscribers.discard(subscriber)
        return response

    async def publish(self, request: web.Request) -> web.Response:
        """POST: one event or a list of at most 1,000; 201 with the ids, 400 or 422 for what isn't that."""
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        events = body if isinstance(body, list) else [body]
        if not 0 < len(events) <= MAX_BATCH or not all(_is_event(event) for event in events):
            raise web.HTTPUnprocessableEntity(text="expected one event, or a list of 1 to 1000")
        ids = [self._deliver(event) for event in events]
        return web.json_response({"cursor": ids[-1], "ids": ids}, status=201)

    def _deliver(self, event: dict[str, Any]) -> str:
        self._position += 1
        event_id = self._cursor()
        text = orjson.dumps({**event, "id": event_id, "timestamp": _now()}).decode()
        frame = (event_id, event["eventType"], text)
        entity_type, entity_id = event.get("entityType"), event.get("entityId")
        for subscriber in self._subscribers:
            if subscriber.wants(entity_type, entity_id):
                subscriber.queue.put_nowait(frame)
        return event_id

    def _cursor(self) -> str:
        return f"{self._epoch}.{self._position}-0"

    def _connected(self) -> str:
        return orjson.dumps(
            {
                "clientId": secrets.token_hex(8),
                "timestamp": _now(),
                "cursor": self._cursor(),
                "heartbeatSeconds": 15,
            }
        ).decode()


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("eventType"), str)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def serve(host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; prints one line with the address once it does."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Server().application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    # Its own socket, since aiohttp does not tell the port that it was given for 0 in any public place.
    with socket.create_server((host, port), backlog=1024) as listener:
        await web.SockSite(runner, listener).start()
        print(f"Baseline serves on http://{host}:{listener.getsockname()[1]}", flush=True)
        await stop.wait()
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: --host and --port, where 0 takes any free port."""
    parser = argparse.ArgumentParser(description="A queue and a task per connection, with aiohttp-sse.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(options.host, options.port))
    else:
        uvloop.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
