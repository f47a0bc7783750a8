"""Clients that are not ours: connect, receive, drop amid the load, resume without loss or double."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import httpx_sse
import pytest
import requests
import sseclient
from aiohttp_sse_client2 import client as aiohttp_sse_client

from tests.support.api import EVENTS, Client, event
from tests.support.gateway import make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.npm import EVENTSOURCE, installed, require
from tests.support.proxy import cutting_proxy
from tests.support.sse import FrameReader

COUNT = 400
BATCH = 10
CUTS = {"none": (5_000, 12_345, 20_011), "gzip": (1_501, 2_345, 3_011)}
"""After how many bytes the first connections are cut: within the load, and within a frame or block."""
EXPECTED = list(range(COUNT))
CLIENTS = Path(__file__).parent / "clients"
SCRIPT = CLIENTS / "eventsource.mjs"


@pytest.fixture(params=CUTS)
def compression(request):
    """What the gateway is told of compression; every client here accepts gzip."""
    return request.param


@pytest.fixture
def client(start_gateway, compression):
    """A client of a gateway whose streams are to come back soon."""
    return Client(start_gateway(make_settings(stream={"retry_ms": 20, "compression": compression})).port)


@pytest.fixture
def load(client, compression):
    """Opens a proxy that cuts, with a publisher that begins when the first stream is open."""

    @asynccontextmanager
    async def load():
        cuts = CUTS[compression]
        async with cutting_proxy(client.port, cuts) as proxy:
            publishing = asyncio.create_task(publish(client))
            try:
                yield f"http://127.0.0.1:{proxy.port}{EVENTS}"
                await publishing
            finally:
                publishing.cancel()
        assert len(proxy.requests) > len(cuts), "the connection was not cut as often as it should be"
        coded = [b"\r\nContent-Encoding: gzip\r\n" in answer for answer in proxy.answers]
        assert set(coded) == {compression == "gzip"}

    return load


async def publish(client):
    await client.metric_becomes("tidegate_streams_opened_total", 1)
    for first in range(0, COUNT, BATCH):
        await client.publish(*(event(n) for n in range(first, first + BATCH)))


def number_of(data):
    return json.loads(data)["data"]["n"]


def resuming(cursor):
    return {"Last-Event-ID": cursor} if cursor else {}


async def test_curl(load):
    curl = require("curl")
    received, cursor = [], None
    async with load() as url:
        while len(received) < COUNT:
            headers = ["--header", f"Last-Event-ID: {cursor}"] if cursor else []
            process = await asyncio.create_subprocess_exec(
                *(curl, "--silent", "--no-buffer", "--compressed", *headers, url),
                stdout=asyncio.subprocess.PIPE,
            )
            frames = FrameReader()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while len(received) < COUNT and (part := await process.stdout.read(65_536)):
                    for frame in frames.feed(part):
                        cursor = frame.id or cursor
                        if frame.event == "stage_change":
                            received.append(frame.data["data"]["n"])
            if len(received) == COUNT:
                process.kill()
            else:
                # 18 and 56: the transfer ended early, which curl knows from the chunks.
                assert await process.wait() in (18, 56)
            await process.communicate()

    assert received == EXPECTED


async def test_httpx_sse(load):
    received, cursor = [], None
    async with load() as url, httpx.AsyncClient(trust_env=False, timeout=DEADLINE_SECONDS) as session:
        while len(received) < COUNT:
            try:
                async with httpx_sse.aconnect_sse(session, "GET", url, headers=resuming(cursor)) as source:
                    async for sse in source.aiter_sse():
                        cursor = sse.id
                        if sse.event == "stage_change":
                            received.append(number_of(sse.data))
                        if len(received) == COUNT:
                            break
            except httpx.RemoteProtocolError:
                continue

    assert received == EXPECTED


async def test_sseclient_py(load):
    def read(url):
        received, cursor = [], None
        with httpx.Client(trust_env=False, timeout=DEADLINE_SECONDS) as session:
            while len(received) < COUNT:
                try:
                    with session.stream("GET", url, headers=resuming(cursor)) as response:
                        for sse in sseclient.SSEClient(response.iter_bytes()).events():
                            cursor = sse.id
                            if sse.event == "stage_change":
                                received.append(number_of(sse.data))
                            if len(received) == COUNT:
                                break
                except httpx.RemoteProtocolError:
                    continue
        return received

    async with load() as url:
        received = await asyncio.to_thread(read, url)

    assert received == EXPECTED


async def test_aiohttp_sse_client2(load):
    received = []
    async with (
        load() as url,
        aiohttp.ClientSession() as session,
        aiohttp_sse_client.EventSource(url, session=session) as source,
    ):
        while len(received) < COUNT:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    sse = await anext(source)
            except aiohttp.ClientPayloadError:
                # It leaves a cut within a chunk to its user; `connect` then sends its Last-Event-Id.
                await source.connect()
                continue
            if sse.type == "stage_change":
                received.append(number_of(sse.data))

    assert received == EXPECTED


async def test_npm_eventsource(load, npm_eventsource):
    async with load() as url:
        process = await asyncio.create_subprocess_exec(
            *(require("node"), str(npm_eventsource), url, str(COUNT)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        lines = [json.loads(line) for line in output.splitlines()]

    assert [line["n"] for line in lines if "n" in line] == EXPECTED
    connected = [line["connected"] for line in lines if "connected" in line]
    assert [first.get("recovered") for first in connected] == [None] + [True] * (len(connected) - 1)


@pytest.mark.parametrize("wanted", ["format=message", "format=named"])
async def test_a_client_that_knows_nothing_but_messages_can_ask_for_them(client, wanted):
    async with (
        httpx.AsyncClient(trust_env=False, timeout=DEADLINE_SECONDS) as session,
        httpx_sse.aconnect_sse(session, "GET", f"http://127.0.0.1:{client.port}{EVENTS}?{wanted}") as source,
    ):
        frames = source.aiter_sse()
        # This library hands out the block that only sets the reconnection time, as an empty message.
        while (await anext(frames)).event != "connected":
            pass
        await client.publish(event(1))
        received = await anext(frames)
        await frames.aclose()

    assert received.event == ("message" if wanted == "format=message" else "stage_change")
    assert number_of(received.data) == 1


async def with_curl(url):
    return await output_of(require("curl"), "--silent", "--show-error", "--no-buffer", "--compressed", url)


async def with_node_fetch(url):
    return await output_of(require("node"), str(CLIENTS / "fetch.mjs"), url)


async def with_httpx(url):
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_SECONDS) as session:
        return (await session.get(url)).content


async def with_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


async def with_requests(url):
    return (await asyncio.to_thread(requests.get, url, timeout=DEADLINE_SECONDS)).content


async def output_of(*command):
    """What a command printed that has to end well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output


@pytest.mark.parametrize("read", [with_curl, with_node_fetch, with_httpx, with_aiohttp, with_requests])
async def test_the_end_of_a_stream_is_an_error_to_nobody(start_gateway, compression, read):
    settings = make_settings(stream={"compression": compression}, server={"drain_seconds": 10})
    gateway = start_gateway(settings)
    client = Client(gateway.port)
    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        reading = group.create_task(read(f"http://127.0.0.1:{client.port}{EVENTS}"))
        await client.metric_becomes("tidegate_streams", 1)
        await client.publish(event(1))
        gateway.loop.call_soon_threadsafe(gateway.parts.delivery.hub.drain)

    names = [frame.event for frame in FrameReader().feed(reading.result()) if frame.data is not None]
    assert names == ["connected", "stage_change", "bye"]


@pytest.fixture(scope="session")
def npm_eventsource(tmp_path_factory):
    """Our script beside the npm package that it uses, installed once a session."""
    return installed(SCRIPT, tmp_path_factory.mktemp("npm"), EVENTSOURCE)
