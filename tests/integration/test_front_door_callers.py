"""What the front door remembers of requests: nothing of one caller's ever reaches another.

It knows requests again that are alike but for their callers' own words (gateway/http/alike.py). So each test
asks twice at least: the second time in the words of somebody else, or after something has changed.
"""

import pytest

from tests.support.api import EVENTS, Client
from tests.support.channels import Room
from tests.support.gateway import make_settings
from tests.support.http import connect
from tests.support.tokens import auth_settings, mint

ANA = mint("ana", subscribe=["*"])


@pytest.fixture
def gateway(start_gateway, way):
    return start_gateway(make_settings(auth=auth_settings()), way=way)


async def status(port, head):
    """The status of the answer to a whole head."""
    async with connect(port) as connection:
        await connection.send(head)
        return (await connection.head())[0]


def head(*lines, target=EVENTS):
    return b"\r\n".join([b"GET %b HTTP/1.1" % target.encode(), b"Host: localhost", *lines, b"", b""])


def bearer(token):
    return b"Authorization: Bearer " + token


async def test_nobody_is_taken_for_whoever_asked_before_by_a_byte_that_no_token_has(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(ANA.encode()))) == 200
    for odd in (b"\0", b"\0\0", b"\1", b"\x7f", b" ", b"", b"\xff", b"*"):
        assert await status(gateway.port, head(bearer(odd))) in (400, 401), odd


async def test_nobody_goes_on_from_the_cursor_of_whoever_asked_before(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(ANA.encode()), b"Last-Event-ID: abc.1-0")) == 200
    assert await status(gateway.port, head(bearer(ANA.encode()), b"Last-Event-ID: \0")) == 400


async def test_the_limits_of_a_head_hold_for_one_that_is_like_a_smaller_one(gateway):
    for _ in range(3):
        assert await status(gateway.port, head(bearer(b"short"))) == 401
    assert await status(gateway.port, head(bearer(b"l" + b"o" * 40_000 + b"ng"))) == 431
    filler = "f" * (16_384 - len(f"{EVENTS}?q=&clientId=a"))
    for client, expected in [("a", 200), ("b", 200), ("b" * 20, 414)]:
        target = f"{EVENTS}?q={filler}&clientId={client}"
        assert await status(gateway.port, head(bearer(ANA.encode()), target=target)) == expected


async def test_of_two_names_that_a_client_gives_itself_the_same_one_counts_each_time(start_gateway, way):
    gateway = start_gateway(way=way)
    for number in range(3):
        for target in (
            f"{EVENTS}?cl%69entId=first&clientId=second-{number}",
            f"{EVENTS}?clientId=first&clientId=second-{number}",
        ):
            async with Client(gateway.port).stream(path=f"{target}&presence=room") as stream:
                await stream.connected()
                assert await Room(stream, "room").next() == ("sync", {"first": {}})
