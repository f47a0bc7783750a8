"""A leak: a text ends its line, and goes on as a field, a frame or a log line of its own."""

import io
import logging

import pytest

from gateway.runtime.logs import LogfmtFormatter
from tests.support.api import EVENTS, HISTORY, POLL, Client, assert_problem
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint
from tests.support.ways import watching

BREAKS = ["\n", "\r", "\r\n", "\n\n", "\0", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x7f", "\x0b", "\x0c"]
CONTROL = [text for text in BREAKS if text not in ("\u2028", "\u2029")]
FORGED = "event: bye\nid: forged\ndata: {}"


@pytest.fixture
def gateway(start_gateway, tmp_path):
    settings = make_settings(
        auth=auth_settings(),
        flags={"store": f"file:{tmp_path}/flags.json"},
        entities={"order": {"id_alias": "orderID"}},
        stream={"heartbeat_seconds": 0.2},
    )
    return start_gateway(settings)


@pytest.fixture
def lines():
    """What is logged meanwhile, as the lines that operators get."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LogfmtFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: written.getvalue().splitlines()
    logging.getLogger().removeHandler(handler)


def publisher_of(gateway):
    return Client(gateway.port, mint("shop", publish=["*"]))


@pytest.mark.parametrize("text", BREAKS, ids=repr)
async def test_what_is_in_an_events_data_is_data(gateway, text):
    told = {"a": text + FORGED, text + FORGED: text}
    event = {"eventType": "changed", "entityType": "order", "entityId": "1", "data": told}
    event |= {"previous": told, "actor": told, "metadata": told}
    async with watching(gateway.port, mint(subscribe=["*"])) as watch:
        [last] = await publisher_of(gateway).publish(event)
        came = await watch.told(last)
    [only] = came.events
    assert [only[name] for name in ("data", "previous", "actor", "metadata")] == [told] * 4
    assert b"\nid: forged" not in came.raw


@pytest.mark.parametrize("text", CONTROL, ids=repr)
@pytest.mark.parametrize("member", ["eventType", "entityType", "entityId", "source", "action"])
async def test_a_name_that_ends_its_line_is_refused(gateway, member, text):
    event = {"eventType": "changed", "entityType": "order", "entityId": "1"}
    answer = await publisher_of(gateway).post(event | {member: "order" + text + FORGED})
    assert_problem(answer, 422)


@pytest.mark.parametrize("text", ["\u2028", "\u2029"], ids=repr)
async def test_an_id_with_a_separator_that_is_no_line_break_of_a_stream_stays_one(gateway, text):
    entity_id = f"1{text}id: forged"
    event = {"eventType": "changed", "entityType": "order", "entityId": entity_id}
    async with watching(gateway.port, mint(subscribe=["*"])) as watch:
        [last] = await publisher_of(gateway).publish(event)
        came = await watch.told(last)
    assert [(one["entityId"], one["orderID"]) for one in came.events] == [(entity_id, entity_id)]
    assert came.hinted == {("order", entity_id)}


@pytest.mark.parametrize("text", CONTROL, ids=repr)
async def test_a_subject_that_ends_its_line_is_no_subject(gateway, text, lines):
    for claims in ({"sub": f"ann{text}level=error"}, {"jti": f"one{text}level=error"}):
        answer = await Client(gateway.port, mint(subscribe=["*"], claims=claims)).get(POLL)
        assert_problem(answer, 401)
        assert all(text not in value for value in answer.headers.values())
    assert not any(line.startswith("level=error") for line in lines())


@pytest.mark.parametrize("text", BREAKS, ids=repr)
@pytest.mark.parametrize(
    "name", ["entity", "filter", "eventTypes", "component", "clientId", "orderID", "cursor"]
)
async def test_what_a_request_asks_for_goes_into_no_field_of_the_answer(gateway, name, text, lines):
    client = Client(gateway.port, mint(subscribe=["*"]))
    for path in (POLL, HISTORY):
        answer = await client.get(path, [(name, f"order{text}Set-Cookie: forged=1")])
        assert answer.status in (200, 400)
        assert "Set-Cookie" not in answer.headers
        assert not any(mark in value for value in answer.headers.values() for mark in "\r\n\0")
    assert all(line.startswith("time=") for line in lines())


async def test_a_refusal_repeats_nothing_that_ends_its_line(gateway, lines):
    for bearer in ("a\u00e9", "x.y.z", "tgk_\u2028level=error"):
        headers = [("Authorization", f"Bearer {bearer}")]
        for path in (POLL, EVENTS):
            answer = await Client(gateway.port).get(path, headers=headers)
            assert_problem(answer, 401)
            assert answer.headers["WWW-Authenticate"].isascii()
            assert answer.headers["WWW-Authenticate"].count('"') == 4
    assert all(line.startswith("time=") for line in lines())
