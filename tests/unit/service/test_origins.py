"""Origins and networks as settings name them."""

import pytest

from gateway.service.origins import network, origin


@pytest.mark.parametrize(
    ("given", "spelt"),
    [
        ("https://app.shop.example", "https://app.shop.example"),
        ("HTTPS://App.Shop.Example", "https://app.shop.example"),
        ("https://app.shop.example:443", "https://app.shop.example"),
        ("http://app.shop.example:80", "http://app.shop.example"),
        ("http://app.shop.example:443", "http://app.shop.example:443"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),
        ("http://[0:0::1]:5173", "http://[::1]:5173"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_has_the_spelling_of_browsers(given: str, spelt: str) -> None:
    assert origin(given) == spelt


@pytest.mark.parametrize(
    "given",
    [
        *("", "null", "app.shop.example", "https://", "https:app.shop.example", "//app.shop.example"),
        *("https://app.shop.example/", "https://app.shop.example/a", "https://app.shop.example?a"),
        *("https://app.shop.example#a", "https://user@app.shop.example", "https://*.shop.example"),
        *("https://app.shop.example:", "https://app.shop.example:0", "https://app.shop.example:65536"),
        *("https://app.shop.example:a", "https://bücher.example", "https://a b", "https://a\n"),
        *("http://[::1", "http://[::g]", "http://127.1", "http://1.2.3.256", "http://127.0.0.01"),
        *("https://a.example, https://b.example", " https://a.example", "file:///"),
    ],
)
def test_what_no_browser_sends_is_no_origin(given: str) -> None:
    with pytest.raises(ValueError, match="must be an origin as browsers send it"):
        origin(given)


def test_any_origin_is_none() -> None:
    with pytest.raises(ValueError, match=r'must not be "\*": name each origin'):
        origin("*")


@pytest.mark.parametrize(
    ("given", "spelt"),
    [
        ("127.0.0.1/32", "127.0.0.1/32"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("2001:DB8::/32", "2001:db8::/32"),
    ],
)
def test_a_proxy_is_an_address_or_a_network(given: str, spelt: str) -> None:
    assert network(given) == spelt


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("proxy.example", "must be an address or a network"),
        ("", "must be an address or a network"),
        ("127.0.0.1:80", "must be an address or a network"),
        ("127.0.0.1/33", "must be an address or a network"),
        ("[::1]", "must be an address or a network"),
        ("10.0.0.1/8", "must not have bits beyond its prefix: write 10.0.0.0/8 or 10.0.0.1"),
        ("::ffff:127.0.0.1", "must be written as IPv4"),
    ],
)
def test_what_no_peer_could_match_is_no_proxy(given: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(given)
