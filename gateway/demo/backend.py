"""The demo's legacy application: an orders API.

`python -m gateway.demo.backend --port 0` serves on loopback, in memory, and prints one line with its
address. It is polled, as such applications are: a list with a strong ETag, and 304 where nothing changed.
With `--publish` it has learnt something new: it tells a gateway of its changes by itself. Which gateway, it
is told at `/publishing` once that serves; the changes until then wait.
"""

import argparse
import asyncio
import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.backoff import Backoff
from gateway.demo import simulator
from gateway.demo.orders import ForbiddenMove, InvalidOrder, OrderError, StaleOrder
from gateway.demo.outbox import Outbox, OutboxFull
from gateway.demo.publisher import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Publisher
from gateway.demo.publishing import PublishingHandler
from gateway.demo.store import MAX_ORDERS, OrderStore, StoreFull, UnknownOrder
from gateway.ports.clock import SystemClock
from gateway.runtime.stopping import stop_on_signals

ADDRESS_LINE = "demo backend on "
"""What the one line on standard output begins with; the rest of it is the address."""

MAX_BODY_BYTES = 16_384

_STATUS: Mapping[type[OrderError], int] = {
    InvalidOrder: 422,
    UnknownOrder: 404,
    ForbiddenMove: 409,
    StaleOrder: 409,
    StoreFull: 409,
    OutboxFull: 503,
}


class _Api:
    """The handlers, and how many requests of each kind they have answered."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store
        self._requests: Counter[str] = Counter()
        self._not_modified = 0
        self._refused = 0

    def routes(self) -> list[web.RouteDef]:
        """A route's name is the kind under which its requests are counted."""
        return [
            web.get("/orders", self.list, name="list"),
            web.post("/orders", self.create, name="create"),
            web.get("/orders/{id}", self.one, name="one"),
            web.put("/orders/{id}", self.replace, name="replace"),
            web.patch("/orders/{id}", self.update, name="update"),
            web.delete("/orders/{id}", self.delete, name="delete"),
            web.get("/stats", self.stats, name="stats"),
        ]

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the request, and makes a JSON body of every refusal."""
        self._requests[request.match_info.route.name or "other"] += 1
        try:
            response = await handler(request)
        except OrderError as error:
            response = _refusal(_STATUS[type(error)], error.code, str(error), error.members)
        except web.HTTPException as error:
            code = error.reason.lower().replace(" ", "_")
            response = _refusal(error.status, code, error.text or error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        self._not_modified += response.status == 304
        self._refused += response.status >= 400
        return response

    async def list(self, request: web.Request) -> web.Response:
        docs = [order.to_json() for order in self._store.all()]
        return _representation(request, {"docs": docs, "total": len(docs)})

    async def one(self, request: web.Request) -> web.Response:
        return _representation(request, self._store.get(request.match_info["id"]).to_json())

    async def create(self, request: web.Request) -> web.Response:
        order = self._store.create(await _json_body(request))
        # Relative, so that it holds behind a gateway that serves this path under another one.
        return _json(order.to_json(), status=201, headers={"Location": f"orders/{order.order_id}"})

    async def replace(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        return _json(self._store.replace(request.match_info["id"], body).to_json())

    async def update(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        return _json(self._store.update(request.match_info["id"], body).to_json())

    async def delete(self, request: web.Request) -> web.Response:
        self._store.delete(request.match_info["id"])
        return web.Response(status=204)

    async def stats(self, _request: web.Request) -> web.Response:
        counts = {
            "requests": dict(sorted(self._requests.items())),
            "notModified": self._not_modified,
            "refused": self._refused,
        }
        return _json(counts, headers={"Cache-Control": "no-store"})


def _json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = orjson.dumps(content)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _refusal(status: int, code: str, message: str, members: Mapping[str, str] | None = None) -> web.Response:
    body: dict[str, Any] = {"error": code, "message": message}
    if members:
        body["members"] = dict(members)
    return _json(body, status=status)


def _representation(request: web.Request, content: Any) -> web.Response:
    """`content` with a strong ETag, or 304 where the caller has it (RFC 9110, sections 8.8.3 and 13.1.2)."""
    body = orjson.dumps(content)
    tag = hashlib.sha256(body).hexdigest()[:24]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    known = {etag.value for etag in request.if_none_match or ()}
    if known & {tag, "*"}:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers, content_type="application/json")


async def _json_body(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="The body must be application/json.")
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"The body is not JSON: {error}.") from None


def create_app(store: OrderStore, publisher: Publisher | None = None) -> web.Application:
    """The orders API over `store`, and `/publishing` where it has a `publisher`."""
    api = _Api(store)
    app = web.Application(middlewares=[api.answer], client_max_size=MAX_BODY_BYTES)
    app.add_routes(api.routes())
    if publisher is not None:
        app.add_routes(PublishingHandler(publisher).routes())
    return app


async def serve(
    rng: random.Random,
    *,
    port: int,
    orders: int,
    simulate_every_seconds: float,
    publish: bool,
    stop_with_stdin: bool,
) -> int:
    """Serves on 127.0.0.1 until SIGTERM, SIGINT or SIGHUP, with `stop_with_stdin` also to the end of that.

    Prints the address line once it serves. `port` 0 is any free one; 0 seconds: nothing is simulated.
    Gives the exit code: 0, or 1 where the port can't be had, which standard error then says.
    """
    stop = _stop_requested(stop_with_stdin)
    publisher = _publisher() if publish else None
    store = OrderStore(SystemClock())
    simulator.fill(store, rng, orders)
    if publisher is not None:
        # Nobody has to be told of the orders that were there before anybody asked.
        store.record = publisher.record
    runner = web.AppRunner(create_app(store, publisher), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            sys.stderr.write(f"The demo's backend can't serve on port {port}: {error.strerror}.\n")
            return 1
        sys.stdout.write(f"{ADDRESS_LINE}http://127.0.0.1:{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as tasks:
            work = []
            if simulate_every_seconds:
                work.append(tasks.create_task(simulator.run(store, rng, simulate_every_seconds)))
            if publisher is not None:
                work.append(tasks.create_task(publisher.run()))
            await stop.wait()
            for task in work:
                task.cancel()
    finally:
        await runner.cleanup()
    return 0


def _publisher() -> Publisher:
    return Publisher(Outbox(), Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS))


def _stop_requested(stop_with_stdin: bool) -> asyncio.Event:
    """Set when the process is told to stop."""
    loop = asyncio.get_running_loop()
    stop = stop_on_signals()

    def drain_stdin() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    if stop_with_stdin:
        loop.add_reader(0, drain_stdin)
    return stop


def _number(kind: type[int] | type[float], low: int, high: int) -> Any:
    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, and is {text}")
        return value

    # argparse names the type where the text is no number at all.
    parse.__name__ = "number" if kind is float else "integer"
    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.backend",
        description="A small legacy orders application, in memory, to put Tidegate in front of.",
    )
    parser.add_argument(
        "--port", type=_number(int, 0, 65535), default=0, help="0, the default, takes any free one"
    )
    parser.add_argument(
        "--orders", type=_number(int, 0, MAX_ORDERS), default=12, help="how many to begin with (12)"
    )
    parser.add_argument("--seed", type=int, help="makes the orders and what happens to them repeatable")
    parser.add_argument(
        "--simulate-every",
        type=_number(float, 0, 3600),
        default=0.0,
        metavar="SECONDS",
        help="the pause between two changes; 0, the default: nothing changes by itself",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="tell a gateway of every change; PATCH /publishing says which",
    )
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="end also when standard input does: for a parent that may die without a word",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Gives `serve`'s exit code; a wrong option ends the process with 2, as argparse does."""
    options = _parser().parse_args(argv)
    return asyncio.run(
        serve(
            random.Random(options.seed),
            port=options.port,
            orders=options.orders,
            simulate_every_seconds=options.simulate_every,
            publish=options.publish,
            stop_with_stdin=options.stop_with_stdin,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
