"""The least that aiohttp can do: a handler that prepares an event stream and waits, one with an empty 304,
and one with a list of 16 KB.

What a stream or an answer costs beyond this is the gateway's own doing. The list is also what the gateway and
nginx have behind them where their answers are measured.
"""

import asyncio
import json
import signal
import socket

import uvloop
from aiohttp import web

EVENTS_PATH = "/api/v1/sync/events"
LIST_BYTES = 16_384


def orders() -> bytes:
    """A list of 100 orders, as JSON of so many bytes."""
    found = [{"orderID": f"ORDER-{number}", "orderStage": "paid", "note": ""} for number in range(100)]
    room = LIST_BYTES - len(json.dumps(found))
    for number, order in enumerate(found):
        order["note"] = "x" * (room // 100 + (number < room % 100))
    return json.dumps(found).encode()


LIST = orders()
LIST_FIELDS = {"Content-Type": "application/json", "ETag": '"orders-1"'}


async def stream(request: web.Request) -> web.StreamResponse:
    """GET: the head of an event stream, and nothing more until the client goes."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


async def empty_304(_: web.Request) -> web.Response:
    """GET: an empty 304."""
    return web.Response(status=304)


async def whole_list(_: web.Request) -> web.Response:
    """GET: the list, whatever the caller has."""
    return web.Response(body=LIST, headers=LIST_FIELDS)


async def serve() -> None:
    """Serves on any free port until SIGTERM; `--port 0`, which it is given, needs no reading."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get(EVENTS_PATH, stream)
    app.router.add_get("/empty-304", empty_304)
    app.router.add_get("/orders", whole_list)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        await web.SockSite(runner, listener).start()
        print(f"Bare aiohttp serves on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
