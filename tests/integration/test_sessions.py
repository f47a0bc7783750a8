"""A stream that ends with its token, from outside (docs/protocol.md, sections 4 and 9)."""

import asyncio
from datetime import datetime

import pytest

from tests.support.api import POLL, Client, assert_problem, event
from tests.support.clock import ManualClock
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.tokens import auth_settings, mint

pytestmark = EVERY_WAY


@pytest.fixture
def clock():
    """The gateway's own: it stands still until it is turned."""
    return ManualClock()


@pytest.fixture
def gateway(start_gateway, way, clock):
    return start_gateway(make_settings(auth=auth_settings()), way=way, clock=clock)


async def test_a_stream_ends_with_its_token_and_a_fresh_one_goes_on_at_the_same_cursor(gateway, clock):
    now = clock.wall_ms() / 1000
    publisher = Client(gateway.port, mint("shop", publish=["*"], now=now))
    exp = int(now) + 90
    short = mint("ana", subscribe=["*"], now=now, claims={"exp": exp})
    async with Client(gateway.port, short).stream() as stream:
        await stream.connected()
        await publisher.publish(event(1))
        assert (await stream.next()).data["data"] == {"n": 1}
        clock.advance(31)
        warning = await stream.next()
        assert (warning.event, warning.id) == ("token-expiring", None)
        assert datetime.fromisoformat(warning.data["expiresAt"]).timestamp() == exp
        await publisher.publish(event(2))
        assert (await stream.next()).data["data"] == {"n": 2}
        clock.advance(60)
        bye = await stream.next()
        assert (bye.event, bye.data["reason"], bye.data["reconnect"]) == ("bye", "token_expired", True)
        with pytest.raises(EOFError):
            await stream.next()
        cursor = stream.last_event_id
    await publisher.publish(event(3))
    assert_problem(await Client(gateway.port, short).get(POLL), 401)
    fresh = Client(gateway.port, mint("ana", subscribe=["*"], now=exp + 1))
    async with fresh.stream(headers=[("Last-Event-ID", cursor)]) as stream:
        assert (await stream.connected()).data["recovered"] is True
        assert (await stream.next()).data["data"] == {"n": 3}


async def test_one_whose_token_has_less_than_a_minute_left_is_told_at_once(gateway, clock):
    now = clock.wall_ms() / 1000
    short = mint("ana", subscribe=["*"], now=now, lifetime=30)
    async with Client(gateway.port, short).stream() as stream:
        await stream.connected()
        assert (await stream.next()).event == "token-expiring"


async def test_a_long_poll_waits_no_longer_than_its_token_lives(gateway, clock):
    # It waits for a second by the loop's clock, and would for a minute.
    now = int(clock.wall_ms() / 1000) + 1
    short = mint("ana", subscribe=["*"], now=now, claims={"exp": now + 1})
    async with asyncio.timeout(50):
        answer = await Client(gateway.port, short).get(POLL, {"wait": 60})
    assert (answer.status, answer.json["events"]) == (200, [])
