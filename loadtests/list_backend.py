#!/usr/bin/env python3
"""A legacy application for the benchmarks: a list of orders, of which a query asks for a part.

`python loadtests/list_backend.py --port 0` serves on loopback, in memory, and prints one line with its
address. Order number N has the status `sM`, where M is N modulo `--parts`.

- `GET /orders`, `GET /orders?status=s3`: with a strong ETag, and 304 where nothing changed. Other parameters
  make no difference to the answer, as in applications that get a `_` against caches.
- `PATCH /orders/ID` changes members of one order; `POST /rounds` changes all of them, and gives the round.
- `GET /stats`: how often lists were asked for, and how many of these requests had a `_`.
"""

import argparse
import asyncio
import hashlib
import signal
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web


def order_id(number: int) -> str:
    """The key of an order; they count from 0."""
    return f"ORDER-{number:06}"


def status_of(part: int) -> str:
    """What the orders of a part have for their status, and a query asks for."""
    return f"s{part}"


def an_order(number: int, parts: int, size: int) -> dict[str, Any]:
    """An order as it is at first, of about `size` bytes of JSON."""
    order: dict[str, Any] = {
        "orderID": order_id(number),
        "status": status_of(number % parts),
        "customer": f"customer {number}",
        "round": 0,
        "text": "",
    }
    return order | {"text": "x" * (size - len(orjson.dumps(order)))}


class Lists:
    """The handlers, the orders, and what was asked so far."""

    def __init__(self, orders: int, parts: int, size: int) -> None:
        made = (an_order(number, parts, size) for number in range(orders))
        self._orders = {order["orderID"]: order for order in made}
        self._bodies: dict[str | None, bytes] = {}
        self._requests: Counter[str] = Counter()
        self._round = 0

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/orders", self.list),
                web.patch("/orders/{id}", self.update),
                web.post("/rounds", self.change_all),
                web.get("/stats", self.stats),
            ]
        )
        return app

    async def list(self, request: web.Request) -> web.Response:
        self._requests["list"] += 1
        self._requests["busted"] += "_" in request.query
        status = request.query.get("status")
        body = self._bodies.get(status)
        if body is None:
            docs = [one for one in self._orders.values() if status is None or one["status"] == status]
            body = self._bodies[status] = orjson.dumps({"docs": docs})
        tag = hashlib.sha256(body).hexdigest()[:24]
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
        if tag in {etag.value for etag in request.if_none_match or ()}:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def update(self, request: web.Request) -> web.Response:
        order = self._orders.get(request.match_info["id"])
        if order is None:
            raise web.HTTPNotFound
        order |= orjson.loads(await request.read())
        self._bodies.clear()
        return web.json_response(order)

    async def change_all(self, request: web.Request) -> web.Response:
        self._round += 1
        for order in self._orders.values():
            order["round"] = self._round
        self._bodies.clear()
        return web.json_response({"round": self._round})

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response({"requests": self._requests})


async def serve(lists: Lists, port: int) -> None:
    """Serves until SIGTERM or SIGINT; prints one line with the address once it does."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(lists.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        await web.SockSite(runner, listener).start()
        print(f"The lists are on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await stop.wait()
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; port 0 takes any free one."""
    parser = argparse.ArgumentParser(description="A list of orders, of which a query asks for a part.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--parts", type=int, default=1, help="how many statuses there are (1)")
    parser.add_argument("--bytes", type=int, default=200, help="of an order, about (200)")
    options = parser.parse_args(arguments)
    asyncio.run(serve(Lists(options.orders, options.parts, options.bytes), options.port))


if __name__ == "__main__":
    main()
