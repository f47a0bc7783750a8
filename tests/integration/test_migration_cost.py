"""The migration's cost as a command, and its clients against servers that do wrong."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtests.clients import Traffic, follow, poll, relay
from loadtests.crowd import Address, RunFailedError
from loadtests.freshness import Changes, Viewer, mark
from loadtests.ways import WAYS
from tests.support.api import eventually
from tests.support.legacy import listed, order
from tests.support.upstream import raw_upstream, upstream

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
STREAM = HEAD + b"event: connected\nid: e.0-0\ndata: {}\n\n"


def address(url: str) -> Address:
    return Address("127.0.0.1", urlsplit(url).port or 0)


def a_viewer() -> Viewer:
    return Viewer(Changes())


@pytest.mark.slow
def test_a_short_run_leaves_a_table_a_picture_and_the_raw_results(tmp_path: Path) -> None:
    sizes = ("--quick", "--clients", "5", "--freshness", "0.2", "--seconds", "1", "--items", "50")
    ended = subprocess.run(
        [sys.executable, "loadtests/migration_cost.py", *sizes, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        text=True,
    )

    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    files = {path.suffix: path for path in tmp_path.iterdir()}
    assert files.keys() == {".json", ".md", ".svg"}
    assert files[".md"].read_text() == ended.stdout
    results = json.loads(files[".json"].read_text())
    costs = {cost["way"]: cost for cost in results["costs"]}
    assert tuple(costs) == WAYS
    direct, through, push = (costs[way] for way in WAYS)
    assert direct["upstream_requests"] == pytest.approx(direct["client_requests"], rel=0.5)
    assert (direct["gateway_cpu_ms"], push["client_requests"]) == (0.0, 0.0)
    assert push["upstream_requests"] < direct["upstream_requests"]
    assert min(cost["upstream_bytes"] for cost in (direct, through, push)) > 0
    directly, shared = results["queries"]
    assert directly["busted_requests"] > 0 == shared["busted_requests"]
    [changed] = results["changed"]
    assert changed["cpu_s"] > 0
    assert "### Clients of 5 queries" in ended.stdout
    assert "### A list of which every item changes" in ended.stdout


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        (b"HTTP/1.1 503 No\r\n\r\n", "answered 503"),
        (STREAM, "a stream ended"),
        (STREAM + b'event: reset\ndata: {"reason":"trimmed"}\n\n', "told reset"),
    ],
    ids=["refused", "ended", "reset"],
)
async def test_a_stream_that_can_not_be_complete_ends_the_run(stream: bytes, sentence: str) -> None:
    async with raw_upstream(stream) as (url, _):
        with pytest.raises(RunFailedError, match=sentence):
            await follow(address(url), "order", asyncio.Event(), a_viewer(), Traffic())


async def test_a_poll_that_is_refused_ends_the_run() -> None:
    answer = b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\nsad."
    async with raw_upstream(answer) as (url, _):
        with pytest.raises(RunFailedError, match=r"GET /orders was answered 502: sad\."):
            await poll(address(url), "/orders", time.monotonic(), 1.0, a_viewer(), Traffic())


@asynccontextmanager
async def polling(at: Address, interval_s: float, viewer: Viewer, traffic: Traffic) -> AsyncIterator[None]:
    """A poller of /orders that polls at once, until the end."""
    task = asyncio.create_task(poll(at, "/orders", time.monotonic(), interval_s, viewer, traffic))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_poller_sends_the_etag_that_it_has() -> None:
    traffic = Traffic()
    async with upstream() as backend:
        backend.says(listed(), ETag='"v1"')
        async with polling(address(backend.url), 0.01, a_viewer(), traffic):
            await backend.was_asked(3)

    assert [asked.headers.get("If-None-Match") for asked in backend.asked[:3]] == [None, '"v1"', '"v1"']
    assert traffic.not_modified >= 1


async def test_clients_and_relay_count_the_same_bytes() -> None:
    changes, traffic = Changes(), Traffic()
    viewer = Viewer(changes)
    shows = listed(order("A", customer=mark(changes.make(time.monotonic()))))

    async def has_seen() -> bool:
        return viewer.unseen == 0

    async with upstream() as backend, relay(address(backend.url)) as (between, target):
        backend.says(shows, ETag='"v1"')
        async with polling(target, 3600.0, viewer, traffic):
            await eventually(has_seen, "the poller has seen the change")

    assert traffic.requests == 1
    assert traffic.size == between.size > len(shows)
