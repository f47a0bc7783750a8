"""`tidegate publish` against a real gateway."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Client
from tests.support.command import run
from tests.support.gateway import GatewayThread
from tests.support.ports import own_port

HELLO = '{"eventType": "hello", "data": {"n": 1}}'


@pytest.fixture
def gateway(start_gateway: Callable[..., GatewayThread]) -> GatewayThread:
    return start_gateway()


@pytest.fixture
def url(gateway: GatewayThread) -> str:
    return f"http://127.0.0.1:{gateway.port}"


async def test_an_event_from_standard_input_is_published_and_its_cursor_printed(
    url: str, client: Client
) -> None:
    code, out, err = await run("publish", "--url", url, text=HELLO)
    assert (code, err) == (0, "")
    poll = await client.poll(cursor="earliest")
    assert [event["id"] for event in poll["events"]] == [out.removesuffix("\n")]


async def test_a_list_from_a_file_prints_the_last_cursor(url: str, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(f"[{HELLO}, {HELLO}]")
    code, out, _ = await run("publish", str(file), "--url", url + "/")
    assert code == 0
    assert out == (await client.now()) + "\n"


async def test_an_idempotency_key_makes_repeating_safe(url: str, client: Client) -> None:
    first = await run("publish", "--url", url, "--idempotency-key", "k", text=HELLO)
    second = await run("publish", "--url", url, "--idempotency-key", "k", text=HELLO)
    assert (second[0], second[1]) == (0, first[1])
    assert "published before" in second[2]
    assert len((await client.poll(cursor="earliest"))["events"]) == 1


async def test_refused_events_are_shown_place_by_place(url: str, client: Client) -> None:
    events = [{"eventType": "ok"}, {"eventType": "bye"}, {"eventType": "x", "entityType": "order"}]
    code, out, err = await run("publish", "--url", url, text=json.dumps(events))
    assert (code, out) == (3, "")
    first, *places = err.splitlines()
    assert first.startswith("tidegate: the gateway answered 422: ")
    assert [place.split(":")[0] for place in places] == ["  /1/eventType", "  /2"]
    assert (await client.poll(cursor="earliest"))["events"] == []


@pytest.mark.parametrize("text", ["", "{", "nonsense"])
async def test_what_is_no_json_is_refused(url: str, text: str) -> None:
    code, out, err = await run("publish", "--url", url, text=text)
    assert (code, out) == (3, "")
    assert "the gateway answered 400" in err


async def test_nothing_listening_is_exit_code_4() -> None:
    with own_port() as port:
        address = f"http://127.0.0.1:{port}"
        code, out, err = await run("publish", "--url", address, text=HELLO)
    assert (code, out) == (4, "")
    assert err == f"tidegate: can't reach {address}: Connection refused.\n"


async def test_a_server_that_is_no_gateway_is_told_apart(url: str) -> None:
    code, out, err = await run("publish", "--url", url + "/elsewhere", text=HELLO)
    assert (code, out) == (3, "")
    assert "the gateway answered 404" in err
