"""Who sent a request that proxies passed on (RFC 7239)."""

from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.client_address import MAX_CHARACTERS, MAX_HOPS, Clients

TRUSTED = ("127.0.0.1/32", "10.0.0.0/8", "2001:db8:ffff::/48")


def request(peer: str | None, *fields: tuple[str, str]) -> web.Request:
    """A request whose connection comes from `peer`."""
    transport = Mock()
    extra: dict[str, Any] = {"peername": None if peer is None else (peer, 4711)}
    transport.get_extra_info.side_effect = lambda key, default=None: extra.get(key, default)
    headers = CIMultiDict([("Host", "gateway.example"), *fields])
    return make_mocked_request("GET", "/orders", headers=headers, transport=transport)


def forwarded_for(*lines: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", line) for line in lines]


def forwarded(*lines: str) -> list[tuple[str, str]]:
    return [("Forwarded", line) for line in lines]


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ([], "127.0.0.1"),
        (forwarded_for("203.0.113.7"), "203.0.113.7"),
        (forwarded_for("198.51.100.1, 203.0.113.7"), "203.0.113.7"),
        (forwarded_for("198.51.100.1, 203.0.113.7, 10.1.2.3"), "203.0.113.7"),
        (forwarded_for("198.51.100.1", "203.0.113.7", "10.1.2.3,10.1.2.4"), "203.0.113.7"),
        (forwarded_for("10.1.2.3, 10.1.2.4"), "10.1.2.3"),
        (forwarded_for("203.0.113.7:5123"), "203.0.113.7"),
        (forwarded_for("2001:db8::7"), "2001:db8::7"),
        (forwarded_for("[2001:DB8::7]:5123"), "2001:db8::7"),
        (forwarded_for("[2001:db8::7]"), "2001:db8::7"),
        (forwarded_for("::ffff:203.0.113.7"), "203.0.113.7"),
        (forwarded_for("203.0.113.7, ::ffff:10.0.0.9"), "203.0.113.7"),
        (forwarded_for("203.0.113.7, 2001:db8:ffff::1"), "203.0.113.7"),
        (forwarded_for(" 203.0.113.7 ,, \t10.0.0.9 ,"), "203.0.113.7"),
        (forwarded('for=203.0.113.7;proto=https;by="_lb"'), "203.0.113.7"),
        (forwarded('For="[2001:db8::7]:4711"'), "2001:db8::7"),
        (forwarded('for="203.0.113.7:_port"'), "203.0.113.7"),
        (forwarded("for=203.0.113.7:80"), "203.0.113.7"),
        (forwarded('for=198.51.100.1, for="203.0.113.7" ; proto=http , for=10.0.0.9'), "203.0.113.7"),
        (forwarded("for=198.51.100.1", "for=203.0.113.7", "for=10.0.0.9"), "203.0.113.7"),
        (forwarded(r'for="203.0.113.\7"'), "203.0.113.7"),
        (forwarded('secret="a,for=198.51.100.1;b";for=203.0.113.7'), "203.0.113.7"),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_trusted(fields: list[tuple[str, str]], address: str) -> None:
    clients = Clients(TRUSTED)
    assert clients.address_of(request("127.0.0.1", *fields)) == address
    assert clients.ignored == {}


@pytest.mark.parametrize(
    "hidden", ["unknown", "_gazonk", "", "nonsense", "1.2.3", "1.2.3.4.5", "[::1", "01.2.3.4"]
)
@pytest.mark.parametrize(("nearer", "address"), [("", "127.0.0.1"), ("10.1.2.3", "10.1.2.3")])
def test_where_an_address_is_missing_the_nearest_counts(hidden: str, nearer: str, address: str) -> None:
    clients = Clients(TRUSTED)
    last = f",for={nearer}" if nearer else ""
    fields = forwarded(f'for=203.0.113.7,for="{hidden}"{last}')
    assert clients.address_of(request("127.0.0.1", *fields)) == address
    assert clients.ignored == {"unreadable": 1}
    if hidden:
        fields = forwarded_for(f"203.0.113.7, {hidden}" + (f", {nearer}" if nearer else ""))
        assert clients.address_of(request("127.0.0.1", *fields)) == address


@pytest.mark.parametrize(
    "line",
    [
        'for="198.51.100.1, for=203.0.113.7',
        "for=203.0.113.7;for=198.51.100.1",
        "for",
        "203.0.113.7",
        "for=a b",
        "proto=https",
        'for="203.0.113.7"x',
        "for=203.0.113.7" + ";x=" + "y" * MAX_CHARACTERS,
    ],
)
def test_a_line_that_is_no_chain_says_nothing_and_ends_what_is_known(line: str) -> None:
    clients = Clients(TRUSTED)
    assert clients.address_of(request("127.0.0.1", *forwarded(line))) == "127.0.0.1"
    assert clients.address_of(request("127.0.0.1", *forwarded(line, "for=10.1.2.3"))) == "10.1.2.3"
    assert clients.ignored == {"unreadable": 2}


@pytest.mark.parametrize("peer", ["203.0.113.9", "127.0.0.2", "::1", "2001:db8::1"])
def test_who_is_not_trusted_is_the_client_whatever_it_says(peer: str) -> None:
    clients = Clients(TRUSTED)
    assert clients.address_of(request(peer, *forwarded_for("10.0.0.1"))) == peer
    assert clients.address_of(request(peer, *forwarded("for=10.0.0.1"))) == peer
    assert clients.ignored == {"untrusted": 2}


def test_a_trusted_peer_is_known_on_a_socket_of_both_kinds() -> None:
    asked = request("::ffff:127.0.0.1", *forwarded_for("203.0.113.7"))
    assert Clients(TRUSTED).address_of(asked) == "203.0.113.7"


def test_nobody_is_trusted_unless_somebody_says_so() -> None:
    assert Clients(()).address_of(request("127.0.0.1", *forwarded_for("203.0.113.7"))) == "127.0.0.1"


def test_without_a_peer_there_is_no_address() -> None:
    assert Clients(TRUSTED).address_of(request(None, *forwarded_for("203.0.113.7"))) is None


def test_x_forwarded_for_counts_where_both_are_there() -> None:
    fields = [*forwarded("for=198.51.100.1"), *forwarded_for("203.0.113.7")]
    clients = Clients(TRUSTED)
    assert clients.address_of(request("127.0.0.1", *fields)) == "203.0.113.7"
    passed = CIMultiDict(clients.fields_for_upstream(request("127.0.0.1", *fields)))
    assert (passed["X-Forwarded-For"], "Forwarded" in passed) == ("203.0.113.7, 127.0.0.1", False)


def test_a_long_chain_is_followed_only_so_far() -> None:
    chain = ", ".join(["203.0.113.7", *[f"10.0.0.{number}" for number in range(MAX_HOPS + 10)]])
    asked = request("127.0.0.1", *forwarded_for(chain))
    assert Clients(TRUSTED).address_of(asked) == "10.0.0.10"
    lines = [f"for={address}" for address in chain.split(", ")]
    assert Clients(TRUSTED).address_of(request("127.0.0.1", *forwarded(*lines))) == "10.0.0.10"
    assert Clients(TRUSTED).address_of(request("127.0.0.1", *forwarded(", ".join(lines)))) == "10.0.0.10"


def test_of_many_lines_the_last_are_read() -> None:
    commas = "," * 1000
    lines = [*[commas] * (MAX_CHARACTERS // 1000), "for=10.1.2.3"]
    clients = Clients(TRUSTED)
    first = "for=203.0.113.7"
    assert clients.address_of(request("127.0.0.1", *forwarded(first, *lines))) == "203.0.113.7"
    assert clients.ignored == {}
    assert clients.address_of(request("127.0.0.1", *forwarded(first, commas, *lines))) == "10.1.2.3"
    assert clients.ignored == {"unreadable": 1}


def passed_on(peer: str, *fields: tuple[str, str]) -> list[tuple[str, str]]:
    return Clients(TRUSTED).fields_for_upstream(request(peer, *fields))


OWN = [("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "gateway.example")]


def test_an_upstream_is_told_what_the_gateway_sees() -> None:
    assert passed_on("203.0.113.9") == [("X-Forwarded-For", "203.0.113.9"), *OWN]


def test_an_upstream_is_told_nothing_that_a_stranger_says() -> None:
    said = [
        *forwarded_for("10.0.0.1"),
        *forwarded("for=10.0.0.1"),
        *(("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Port", "1")),
    ]
    assert passed_on("203.0.113.9", *said) == [("X-Forwarded-For", "203.0.113.9"), *OWN]


def test_an_upstream_is_told_what_a_trusted_proxy_says() -> None:
    said = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("X-Forwarded-Prefix", "/a"),
    ]
    passed = passed_on("127.0.0.1", *forwarded_for("198.51.100.1", "203.0.113.7"), *said)
    assert passed == [("X-Forwarded-For", "198.51.100.1, 203.0.113.7, 127.0.0.1"), *said]


def test_what_forwarded_says_is_said_in_both_ways() -> None:
    line = (
        "for=198.51.100.1;proto=http, for=203.0.113.7;proto=HTTPS;host=shop.example, for=10.0.0.9;proto=http"
    )
    assert passed_on("2001:db8:ffff::1", *forwarded(line)) == [
        ("X-Forwarded-For", "203.0.113.7, 10.0.0.9, 2001:db8:ffff::1"),
        ("Forwarded", f'{line}, for="[2001:db8:ffff::1]"'),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
    ]


def test_a_hidden_client_still_has_a_scheme() -> None:
    line = "for=198.51.100.1;proto=http, for=_hidden;proto=https"
    assert passed_on("127.0.0.1", *forwarded(line)) == [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", f"{line}, for=127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "gateway.example"),
    ]


def test_what_can_not_be_read_is_not_passed_on() -> None:
    assert passed_on("127.0.0.1", *forwarded('for="203.0.113.7')) == [("X-Forwarded-For", "127.0.0.1"), *OWN]


@pytest.mark.parametrize(
    ("peer", "fields", "is_https"),
    [
        ("10.0.0.1", [], False),
        ("10.0.0.1", [("X-Forwarded-Proto", "https")], True),
        ("10.0.0.1", [("X-Forwarded-Proto", "HTTPS")], True),
        ("10.0.0.1", [("X-Forwarded-Proto", "http")], False),
        ("10.0.0.1", [("X-Forwarded-Proto", "https, http")], True),
        ("10.0.0.1", forwarded("for=203.0.113.7;proto=https"), True),
        ("10.0.0.1", forwarded("for=203.0.113.7;proto=https, for=10.0.0.2;proto=http"), True),
        ("10.0.0.1", forwarded("for=198.51.100.1;proto=https, for=203.0.113.7;proto=http"), False),
        ("10.0.0.1", forwarded("for=203.0.113.7"), False),
        ("10.0.0.1", [*forwarded("for=203.0.113.7;proto=https"), ("X-Forwarded-Proto", "http")], False),
        ("203.0.113.7", [("X-Forwarded-Proto", "https")], False),
        (None, [("X-Forwarded-Proto", "https")], False),
    ],
)
def test_only_a_trusted_proxy_says_that_a_client_came_by_https(
    peer: str | None, fields: list[tuple[str, str]], is_https: bool
) -> None:
    assert Clients(TRUSTED).is_https(request(peer, *fields)) is is_https
