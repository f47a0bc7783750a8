"""Routes with `decode` and `map`: their events are of what the functions made, their answers as they came."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.ports.clock import SystemClock
from gateway.ports.legacy_route import Functions
from tests.support.upstream import Gateway, Upstream, in_front_of

MODULE = """
def table(body, content_type):
    head, *rows = (line.split(",") for line in body.decode().splitlines())
    return [dict(zip(head, row)) for row in rows]


def total(item):
    return {"orderID": item["orderID"], "total": float(item["total"])}
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    (tmp_path / "order_functions.py").write_text(MODULE)
    return str(tmp_path)


@pytest.fixture
async def polling(backend: Upstream, directory: str) -> AsyncIterator[Gateway]:
    backend.says(b"orderID,total\nA,12.50\n", Content_Type="text/csv")
    async with in_front_of(
        backend.url,
        SystemClock(),
        wanted=lambda entity: True,
        modules=directory,
        items="",
        interval_seconds=0.02,
        functions=Functions("order_functions:table", "order_functions:total"),
    ) as one:
        yield one


async def test_callers_get_what_came_and_events_are_of_what_was_made_of_it(
    backend: Upstream, polling: Gateway
) -> None:
    got = await polling.get()
    assert (got.status, got.body, got.headers["Content-Type"]) == (
        200,
        b"orderID,total\nA,12.50\n",
        "text/csv",
    )
    backend.says(b"orderID,total\nA,12.5\nB,3\n", Content_Type="text/csv")
    (event,) = await polling.next_events(1)
    # 12.50 and 12.5 are the same number to the function.
    assert (event.event_type, event.entity_id, event.data) == (
        "order_created",
        "B",
        {"orderID": "B", "total": 3.0},
    )
    assert (await polling.get()).body == b"orderID,total\nA,12.5\nB,3\n"


async def test_what_the_functions_make_nothing_of_is_served_as_it_came(
    backend: Upstream, directory: str
) -> None:
    backend.says(b"total\n7\n", Content_Type="text/csv")
    async with in_front_of(
        backend.url,
        SystemClock(),
        modules=directory,
        items="",
        functions=Functions("order_functions:table", "order_functions:total"),
    ) as one:
        got = await one.get()
    assert (got.status, got.body) == (200, b"total\n7\n")
    assert got.headers["Cache-Status"] == "tidegate; fwd=stale; detail=unusable"
