"""What a URL of Redis says, and which URLs say nothing."""

import pytest

from adapters.redis import Address
from gateway.core.errors import LogError

SECRET = "open-sesame"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://a", Address((("a", 6379),))),
        ("redis://a/", Address((("a", 6379),))),
        ("redis://a:7/3", Address((("a", 7),), database=3)),
        ("redis://[::1]:7", Address((("::1", 7),))),
        ("redis://:s%23@a", Address((("a", 6379),), password="s#")),
        ("redis://u:p@a?prefix=x", Address((("a", 6379),), user="u", password="p", prefix="x")),
        ("redis://a?relayed=yes", Address((("a", 6379),), is_relayed=True)),
        ("rediss://a?ca_file=/c.pem", Address((("a", 6379),), is_tls=True, ca_file="/c.pem")),
        ("redis+sentinel://a,b:7/tides", Address((("a", 26379), ("b", 7)), master="tides")),
        (
            "rediss+sentinel://u:p@a/tides/2?sentinel_user=v&sentinel_password=q",
            Address(
                (("a", 26379),), 2, "u", "p", True, master="tides", sentinel_user="v", sentinel_password="q"
            ),
        ),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a", "there is no scheme 'http'"),
        (f"redis://:{SECRET}@", "a host is missing"),
        (f"redis://:{SECRET}@a:port", "Port could not be cast"),
        (f"redis://:{SECRET}@a:70000", "Port out of range"),
        (f"redis://:{SECRET}#@a", "fragment"),
        (f"redis://:{SECRET}@a,b", "several hosts"),
        ("redis://a/x", "the database is a number"),
        ("redis://a/1/2", "the database is a number"),
        ("redis://a?colour=red", "there is no option 'colour'"),
        ("redis://a?relayed=no", "the option relayed is yes, or left out"),
        ("redis://a?prefix=", "the option prefix is empty"),
        ("redis://a?prefix", "bad query field"),
        ("redis://a?ca_file=x", "for TLS only"),
        ("redis://a?sentinel_user=x", "for its URLs only"),
        ("redis+sentinel://a", "name of Sentinel's master is missing"),
        ("redis+sentinel://a//0", "name of Sentinel's master is missing"),
    ],
)
def test_a_wrong_url_is_refused_with_the_reason_and_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(LogError, match=reason) as raised:
        Address.parse(url)
    assert SECRET not in raised.value.detail
    assert raised.value.__suppress_context__


def test_an_address_is_shown_without_its_secrets() -> None:
    address = Address.parse(f"redis+sentinel://u:{SECRET}@a,[::1]/tides?sentinel_password={SECRET}")
    assert str(address) == "tides at the Sentinels a:26379,[::1]:26379"
    assert SECRET not in repr(address)
