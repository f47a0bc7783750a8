"""The least that aiohttp can do for a stream: a handler that prepares an event stream, and waits.

What a connection costs beyond this is the gateway's own doing.
"""

import asyncio
import signal
import socket

import uvloop
from aiohttp import web

EVENTS_PATH = "/api/v1/sync/events"


async def stream(request: web.Request) -> web.StreamResponse:
    """GET: the head of an event stream, and nothing more until the client goes."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


async def serve() -> None:
    """Serves on any free port until SIGTERM; `--port 0`, which it is given, needs no reading."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get(EVENTS_PATH, stream)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        await web.SockSite(runner, listener).start()
        print(f"Bare aiohttp serves on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
