"""What the clients of the migration's benchmark ask for: one list, or parts of it that a query names."""

import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtests.freshness import Changes
from loadtests.list_backend import order_id, status_of
from loadtests.measure import LossError
from loadtests.server import Kind, Launch, backend

LIST_BACKEND = Path(__file__).parent / "list_backend.py"
ORDER_BYTES = 200
_VARIED = """vary_query = ["status"]
ignore_query = ["_"]
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """An upstream of orders, `settings` of its route, and the lists that are asked for.

    Clients take turns with the lists, and so do the orders: order N is in list N modulo `len(changes)`, and
    what was done to it in `changes` there. `paths` gives what a client asks for, one request after the other;
    `refuse` raises LossError for an answer that is not of the client's list.
    """

    upstream: Kind
    settings: str
    changes: tuple[Changes, ...]
    paths: Callable[[int, str], Iterator[str]]
    refuse: Callable[[int, bytes], None]

    def changes_of(self, number: int) -> Changes:
        """Those that a client, or an order, of that number has to do with."""
        return self.changes[number % len(self.changes)]


def whole_list(orders: int) -> Scene:
    """The demo's orders; everybody asks for all of them."""
    return Scene(
        backend(orders, 0),
        "",
        (Changes(),),
        lambda _, path: itertools.repeat(path),
        lambda _, body: None,
    )


def parts(orders: int, variants: int) -> Scene:
    """So many queries, of which each has its own orders; of the last one each request has a new `_`."""

    def paths(client: int, path: str) -> Iterator[str]:
        part = client % variants
        target = f"{path}?status={status_of(part)}"
        return busting(target) if part == variants - 1 else itertools.repeat(target)

    def refuse(client: int, body: bytes) -> None:
        part = client % variants
        expected = tuple((order_id(n), status_of(part)) for n in range(part, orders, variants))
        if orders_in(body) != expected:
            raise LossError("a query", 1, [f"a client that asked for {status_of(part)} got other orders"])

    return Scene(
        lists(orders, variants, ORDER_BYTES),
        _VARIED,
        tuple(Changes() for _ in range(variants)),
        paths,
        refuse,
    )


def lists(orders: int, parts: int, size: int) -> Kind:
    """The server of loadtests/list_backend.py."""
    options = ["--orders", str(orders), "--parts", str(parts), "--bytes", str(size)]
    return Kind("lists", lambda _: Launch([sys.executable, str(LIST_BACKEND), *options]))


def busting(target: str) -> Iterator[str]:
    """The target with the time in it, as jQuery's `cache: false` writes it: no two are alike."""
    last = 0
    while True:
        last = max(last + 1, int(time.time() * 1000))
        yield f"{target}&_={last}"


@functools.lru_cache(maxsize=64)
def orders_in(body: bytes) -> tuple[tuple[str, str], ...]:
    """The keys and statuses of a list, in its order."""
    return tuple((order["orderID"], order["status"]) for order in orjson.loads(body)["docs"])
