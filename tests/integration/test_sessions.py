"""A stream that ends with its token, from outside (docs/protocol.md, sections 4 and 9)."""

import time
from datetime import datetime

import pytest

from tests.support.api import POLL, Client, assert_problem, event
from tests.support.gateway import BOTH_WAYS, make_settings
from tests.support.tokens import auth_settings, mint

pytestmark = BOTH_WAYS
LATE_SECONDS = 15.0


@pytest.fixture
def gateway(start_gateway, hand_over):
    return start_gateway(make_settings(auth=auth_settings()), hand_over=hand_over)


async def test_a_stream_ends_with_its_token_and_a_fresh_one_goes_on_at_the_same_cursor(gateway):
    publisher = Client(gateway.port, mint("shop", publish=["*"]))
    exp = int(time.time()) + 3
    short = mint("ana", subscribe=["*"], claims={"exp": exp})
    async with Client(gateway.port, short).stream() as stream:
        await stream.connected()
        warning = await stream.next()
        assert (warning.event, warning.id) == ("token-expiring", None)
        assert datetime.fromisoformat(warning.data["expiresAt"]).timestamp() == exp
        await publisher.publish(event(1))
        assert (await stream.next()).data["data"] == {"n": 1}
        bye = await stream.next()
        assert exp <= time.time() <= exp + LATE_SECONDS
        assert (bye.event, bye.data["reason"], bye.data["reconnect"]) == ("bye", "token_expired", True)
        with pytest.raises(EOFError):
            await stream.next()
        cursor = stream.last_event_id
    await publisher.publish(event(2))
    assert_problem(await Client(gateway.port, short).get(POLL), 401)
    fresh = Client(gateway.port, mint("ana", subscribe=["*"]))
    async with fresh.stream(headers=[("Last-Event-ID", cursor)]) as stream:
        assert (await stream.connected()).data["recovered"] is True
        assert (await stream.next()).data["data"] == {"n": 2}


async def test_a_long_poll_waits_no_longer_than_its_token_lives(gateway):
    exp = int(time.time()) + 2
    short = mint("ana", subscribe=["*"], claims={"exp": exp})
    answer = await Client(gateway.port, short).get(POLL, {"wait": 60})
    assert exp <= time.time() <= exp + LATE_SECONDS
    assert (answer.status, answer.json["events"]) == (200, [])
