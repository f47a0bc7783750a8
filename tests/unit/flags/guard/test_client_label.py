"""Short names for client software."""

import pytest

from flags.guard.client_label import client_label

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Safari/605.1.15"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("web/1.4.2", "web/1.4.2"),
        ("web/1.4.2-rc.1+build5 (staging)", "web/1.4.2-rc.1+build5"),
        ("  portal/7 ", "portal/7"),
        ("web", "other"),
        ("web/" + "9" * 100, "other"),
        ("web/1;DROP", "web/1"),
        ("<script>/1", "other"),
    ],
)
def test_clients_that_name_themselves_keep_their_whole_version(field: str, label: str) -> None:
    assert client_label(field, CHROME) == label


@pytest.mark.parametrize(
    ("agent", "label"),
    [
        (CHROME, "Chrome 131"),
        (CHROME + " Edg/131.0.2903.51", "Edge 131"),
        (CHROME + " OPR/116.0.0.0", "Opera 116"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox 132"),
        (SAFARI, "Safari 18"),
        (IPHONE, "Safari 17"),
        (IPHONE.replace("Version/17.5", "CriOS/131.0.6778.73"), "Chrome 131"),
        ("Mozilla/5.0 (compatible; something)", "other"),
        ("curl/8.5.0", "curl 8.5"),
        ("python-requests/2.32.3", "python-requests 2.32"),
        ("Python/3.11 aiohttp/3.14.1", "Python 3.11"),
        ("Go-http-client/1.1", "Go-http-client 1.1"),
        ("okhttp/v4", "okhttp 4"),
        ("billing-job", "billing-job"),
        ("Ünïcode/1", "other"),
        ("\x01\x02", "other"),
        ("x" * 10_000, "other"),
    ],
)
def test_other_clients_are_named_by_their_product_and_main_version(agent: str, label: str) -> None:
    assert client_label(None, agent) == label


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_a_client_that_sends_no_name_is_unknown(nothing: str | None) -> None:
    assert client_label(nothing, nothing) == "unknown"
