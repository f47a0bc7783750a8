"""sse-starlette as its documentation shows it: a generator per connection that waits on a queue.

Runs in an environment of its own, so it imports nothing of this project. uvicorn uses uvloop and httptools.
An event's text is made once, not once per connection.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import orjson
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

EVENTS_PATH = "/api/v1/sync/events"

queues: set[asyncio.Queue[ServerSentEvent]] = set()


async def events() -> AsyncIterator[ServerSentEvent]:
    """`connected`, then every event that is published, until the client goes."""
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    queues.add(queue)
    try:
        yield ServerSentEvent("{}", event="connected")
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def stream(_: Request) -> EventSourceResponse:
    """GET."""
    return EventSourceResponse(events())


async def publish(request: Request) -> Response:
    """POST of one event: 201."""
    body = await request.body()
    event = ServerSentEvent(body.decode(), event=orjson.loads(body)["eventType"])
    for queue in queues:
        queue.put_nowait(event)
    return Response(b"{}", status_code=201, media_type="application/json")


def main() -> None:
    """Serves on any free port until SIGTERM; `--port 0`, which it is given, needs no reading."""
    app = Starlette(
        routes=[Route(EVENTS_PATH, stream, methods=["GET"]), Route(EVENTS_PATH, publish, methods=["POST"])]
    )
    # The publishers' connections are kept, however long a load leaves one idle (uvicorn's default is 5 s).
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", timeout_keep_alive=3600, timeout_graceful_shutdown=2
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(f"sse-starlette serves on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
