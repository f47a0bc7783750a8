"""`tidegate tail`: against a real gateway, through a network that breaks, and against a scripted server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from flags.decide.rollout import in_cohort
from gateway.core.eventstream import MAX_EVENT_BYTES
from gateway.http.server import GatewaySite
from tests.support.admin import ORDERS
from tests.support.api import Client, event
from tests.support.command import command, relay, run
from tests.support.gateway import GatewayThread, make_settings
from tests.support.ports import own_port
from tests.support.upstream import STALL_SECONDS

EVENTS = "/api/v1/sync/events"
QUICK = make_settings(stream={"retry_ms": 1})


@pytest.fixture
def gateway(start_gateway: Callable[..., GatewayThread]) -> GatewayThread:
    return start_gateway(QUICK)


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def test_json_lines_are_the_events_and_nothing_else(gateway: GatewayThread, client: Client) -> None:
    await client.publish(event(1), event(2), event(3))
    published = (await client.poll(cursor="earliest"))["events"]
    code, out, _ = await run(
        "tail", "--url", address(gateway.port), "--cursor", "earliest", "--json", "--limit", "3"
    )
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == published


async def test_lines_for_people_have_no_colours_in_a_pipe(gateway: GatewayThread, client: Client) -> None:
    await client.publish(event(1, data={"text": "\x1b[31mé"}))
    code, out, err = await run("tail", "--url", address(gateway.port), "--cursor", "earliest", "--limit", "1")
    assert code == 0
    assert out.endswith('  stage_change  order:ORDER-001  update  {"text":"\\u001b[31mé"}\n')
    assert "\x1b" not in out + err


async def test_the_last_note_is_the_cursor_to_go_on_from(gateway: GatewayThread, client: Client) -> None:
    ids = await client.publish(event(1), event(2))
    _, _, err = await run("tail", "--url", address(gateway.port), "--cursor", "earliest", "--limit", "1")
    assert err.splitlines()[-1] == f"to go on from here: --cursor {ids[0]}"


async def test_options_select_what_is_followed(gateway: GatewayThread, client: Client) -> None:
    await client.publish(
        event(1, of="A"), event(2, of="B"), event(2, of="A", eventType="other"), event(2, of="A")
    )
    code, out, _ = await run(
        *("tail", "--url", address(gateway.port), "--cursor", "earliest", "--json", "--limit", "1"),
        *("--entity", "order:A", "--event-types", "stage_change", "--filter", "n=gt.1"),
    )
    assert code == 0
    assert json.loads(out)["data"] == {"n": 2}


async def test_hints_alone_are_shown(gateway: GatewayThread, client: Client) -> None:
    async with command(
        "tail", "--url", address(gateway.port), "--hints", "only", "--json", "--limit", "1"
    ) as tail:
        await tail.note("connected at")
        await client.publish(event(1), event(2))
        hint = json.loads(await tail.line())
        assert (hint["entityId"], hint["count"]) == ("ORDER-001", 2)
        assert (await tail.end())[0] == 0


async def test_a_broken_connection_is_resumed_without_loss_or_double(
    gateway: GatewayThread, client: Client
) -> None:
    async with (
        relay(gateway.port) as network,
        command("tail", "--url", address(network.port), "--json", "--limit", "6") as tail,
    ):
        seen: list[int] = []
        for _ in range(3):
            await tail.note("connected at")
            await client.publish(event(len(seen)))
            seen.append(json.loads(await tail.line())["data"]["n"])
            network.cut()
            await client.publish(event(len(seen)))
            seen.append(json.loads(await tail.line())["data"]["n"])
        assert (await tail.end())[0] == 0
    assert seen == [0, 1, 2, 3, 4, 5]
    assert network.connections == 4


async def test_a_gateway_that_drains_is_followed_to_the_next_one(
    start_gateway: Callable[..., GatewayThread],
) -> None:
    old, new = start_gateway(QUICK), start_gateway(QUICK)
    async with (
        relay(old.port) as network,
        command("tail", "--url", address(network.port), "--json", "--limit", "1") as tail,
    ):
        await tail.note("connected at")
        network.target_port = new.port
        old.stop()
        await tail.note("the gateway ended the stream (drain)")
        await tail.note("reset (epoch): events were missed here")
        await Client(new.port).publish(event(5))
        assert json.loads(await tail.line())["data"] == {"n": 5}
        assert (await tail.end())[0] == 0


async def test_ctrl_c_ends_with_130_and_the_cursor(gateway: GatewayThread, client: Client) -> None:
    async with command("tail", "--url", address(gateway.port)) as tail:
        await tail.note("connected at")
        tail.signal(signal.SIGINT)
        code, out, err = await tail.end()
    assert (code, out) == (130, "")
    assert err == f"to go on from here: --cursor {await client.now()}\n"


async def test_a_wrong_filter_is_refused_with_its_parameter(gateway: GatewayThread) -> None:
    code, out, err = await run("tail", "--url", address(gateway.port), "--filter", "n=like.1")
    assert (code, out) == (3, "")
    assert "the gateway answered 400" in err
    assert "\n  filter: " in err


async def test_nothing_listening_at_first_is_exit_code_4() -> None:
    with own_port() as port:
        url = address(port)
        code, out, err = await run("tail", "--url", url)
    assert (code, out, err) == (4, "", f"tidegate: can't follow {url}: Connection refused.\n")


Answer = web.Response | bytes
"""A whole answer, or what a stream sends before it falls silent."""


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives one answer after the other to who asks for the stream: its address, its requests.

    A stream stays open, and silent, until the client goes.
    """
    waiting = iter(answers)
    requests: list[web.Request] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        answer = next(waiting)
        if isinstance(answer, web.Response):
            return answer
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(answer)
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.router.add_get(EVENTS, stream)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await GatewaySite(runner, "127.0.0.1", 0, STALL_SECONDS).start()
        yield address(runner.addresses[0][1]), requests
    finally:
        await runner.cleanup()


def block(name: str, data: object, cursor: str, retry: str = "") -> bytes:
    return f"{retry}event: {name}\nid: {cursor}\ndata: {json.dumps(data)}\n\n".encode()


def stream_of(*blocks: bytes, heartbeat_seconds: float = 15) -> bytes:
    connected = block(
        "connected", {"cursor": "e.0-0", "heartbeatSeconds": heartbeat_seconds}, "e.0-0", "retry: 1\n"
    )
    return connected + b"".join(blocks)


async def test_a_204_says_that_the_gateway_asks_to_poll() -> None:
    async with scripted(web.Response(status=204)) as (url, _):
        code, out, err = await run("tail", "--url", url, "--json")
    assert (code, out) == (0, "")
    assert err == "the gateway asks to poll: there is no stream for this selection\n"


async def test_where_there_is_no_stream_the_stage_and_the_reason_are_said(flagged, admin) -> None:
    await admin.make(stage="shadow")
    given = ("tail", "--url", f"http://127.0.0.1:{flagged.port}", "--entity", "order", "--json")
    code, out, err = await run(*given)
    assert (code, out) == (0, "")
    assert err.splitlines()[1:] == ["  orders: shadow, DEFAULT"]

    await admin.post(f"{ORDERS}/kill")
    _, _, err = await run(*given)
    assert err.splitlines()[1:] == ["  orders: shadow, DISABLED, kill_switch"]


async def test_a_bye_for_good_is_the_end() -> None:
    bye = block("bye", {"reason": "disconnected", "reconnect": False}, "e.0-0")
    async with scripted(stream_of(bye)) as (url, _):
        code, out, err = await run("tail", "--url", url)
    assert (code, out) == (0, "")
    assert "the gateway ended the stream for good (disconnected)" in err


async def test_an_event_that_never_ends_is_refused_and_not_held() -> None:
    async with scripted(stream_of(b"id: e.1-0\ndata: " + b"x" * (MAX_EVENT_BYTES + 1))) as (url, requests):
        code, out, err = await run("tail", "--url", url)
    assert (code, out) == (3, "")
    assert "an event of the stream has more than 16777216 bytes" in err
    assert "to go on from here: --cursor e.0-0\n" in err
    assert len(requests) == 1


async def test_what_is_no_event_stream_is_refused() -> None:
    async with scripted(web.Response(text="<html>", content_type="text/html")) as (url, _):
        code, out, err = await run("tail", "--url", url)
    assert (code, out) == (3, "")
    assert err == (
        f"tidegate: {url} answers with text/html and not with an event stream: is it a Tidegate gateway?\n"
    )


async def test_a_failing_gateway_is_exit_code_4_at_first() -> None:
    async with scripted(web.Response(status=503, text="busy")) as (url, _):
        code, out, err = await run("tail", "--url", url)
    assert (code, out, err) == (4, "", "tidegate: the gateway answered 503: busy\n")


async def test_a_gateway_that_fails_later_is_asked_again_with_the_cursor() -> None:
    bye = block("bye", {"reason": "drain", "reconnect": True, "retryMs": 1}, "e.1-0")
    # The end of this body is where the stream breaks.
    broken = web.Response(body=stream_of(bye), headers={"Content-Type": "text/event-stream"})
    after = stream_of(block("hello", {"eventType": "hello"}, "e.2-0"))
    async with scripted(broken, web.Response(status=503), after) as (url, requests):
        code, out, err = await run("tail", "--url", url, "--json", "--limit", "1")
    assert (code, out) == (0, '{"eventType": "hello"}\n')
    assert "the gateway answered 503 without a reason" in err
    assert [request.query.get("lastEventId") for request in requests] == [None, "e.1-0", "e.1-0"]


async def test_a_stream_without_a_heartbeat_is_given_up_and_resumed() -> None:
    dead = stream_of(block("hello", {"eventType": "hello"}, "e.1-0"), heartbeat_seconds=0.1)
    alive = stream_of(block("hello", {"eventType": "again"}, "e.2-0"))
    async with scripted(dead, alive) as (url, requests):
        code, out, err = await run("tail", "--url", url, "--json", "--limit", "2")
    assert code == 0
    assert [json.loads(line)["eventType"] for line in out.splitlines()] == ["hello", "again"]
    assert "no answer in time" in err
    assert requests[1].query["lastEventId"] == "e.1-0"


async def test_a_client_id_says_who_follows_while_callers_are_migrated(flagged, admin) -> None:
    await admin.make(stage="live", percentage=50)
    client = Client(flagged.port)
    await client.publish(event(1))
    options = ("tail", "--url", address(flagged.port), "--cursor", "earliest", "--limit", "1")
    sides = {in_cohort("orders", name, 50): name for name in (f"tablet-{number}" for number in range(20))}

    outside = await run(*options, "--client", sides[False])
    inside = await run(*options, "--client", sides[True])

    assert (outside[0], outside[1]) == (0, "")
    assert (inside[0], inside[1].count("stage_change")) == (0, 1)
