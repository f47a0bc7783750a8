"""gateway/http/legacy/vary.py: whose answer a shared one is too."""

import pytest
from multidict import CIMultiDict

from gateway.http.legacy.vary import is_same_request, varied_by

POLLED = {"accept": "application/json, */*;q=0.1", "user-agent": "tidegate", "x-tenant": "7, 8"}


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], set()),
        (["Accept-Encoding, Origin, Host"], set()),
        (["accept-ENCODING", "Cookie , ACCEPT,,"], {"cookie", "accept"}),
        (["*"], {"*"}),
        (["Origin, *, Accept"], {"*", "accept"}),
    ],
)
def test_what_an_answer_depends_on(lines: list[str], names: set[str]) -> None:
    assert varied_by(CIMultiDict(("Vary", line) for line in lines)) == names


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Accept", ["application/json, */*;q=0.1"]),
        ("accept", ["  */* ; q=0.1 ,application/json"]),
        ("Accept", ["*/*;q=0.1", "application/json"]),
        ("User-Agent", [" tidegate "]),
        ("X-Tenant", ["7", "8"]),
        ("Cookie", []),
    ],
)
def test_a_caller_that_says_what_the_poll_says(name: str, given: list[str]) -> None:
    caller = [("Other", "1"), *((name, value) for value in given)]
    assert is_same_request(frozenset({name.lower()}), POLLED, caller)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Accept", []),
        ("Accept", [""]),
        ("Accept", ["application/json"]),
        ("Accept", ["application/json, */*;q=0.2"]),
        ("Accept", ["Application/json, */*;q=0.1"]),
        ("User-Agent", ["Tidegate"]),
        ("X-Tenant", ["8, 7"]),
        ("X-Tenant", ["7,8"]),
        ("Cookie", [""]),
        ("Cookie", ["a=1"]),
        ("*", []),
    ],
)
def test_a_caller_that_says_something_else(name: str, given: list[str]) -> None:
    caller = [(name, value) for value in given]
    assert not is_same_request(frozenset({name.lower()}), POLLED, caller)


@pytest.mark.parametrize(
    ("given", "same"), [("b=2;a=1", False), ("a=1;b=2 ", True), ("a=1; b=2; c=3", False)]
)
def test_cookies_are_the_same_in_the_same_order(given: str, same: bool) -> None:
    polled = {"cookie": "a=1; b=2"}
    assert is_same_request(frozenset({"cookie"}), polled, [("Cookie", given)]) is same


def test_every_field_counts() -> None:
    names = frozenset({"accept", "user-agent"})
    caller = [("Accept", POLLED["accept"]), ("User-Agent", "curl/8")]
    assert not is_same_request(names, POLLED, caller)
    assert is_same_request(frozenset(), {}, caller)
