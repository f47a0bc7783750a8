"""gateway/http/parameters.py: one caller's own parameters, and those that many share."""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.http.parameters import OWN, parameters_of


def of(query: str):
    return parameters_of(make_mocked_request("GET", f"/?{query}"))


@pytest.mark.parametrize(
    ("query", "shared", "own"),
    [
        ("", "", {}),
        ("entity=order", "entity=order", {}),
        ("entity=order&clientId=ann", "entity=order", {"clientId": ["ann"]}),
        ("clientId=ann&entity=order&clientId=ben", "entity=order", {"clientId": ["ann", "ben"]}),
        ("clientId=a%20b&cursor=c+d", "", {"clientId": ["a b"], "cursor": ["c d"]}),
        ("clientId=&cursor", "", {"clientId": [""], "cursor": [""]}),
        ("a=clientId=b", "a=clientId=b", {}),
        ("CLIENTID=a", "CLIENTID=a", {}),
    ],
)
def test_what_is_one_caller_s_own_is_taken_out(query: str, shared: str, own: dict[str, list[str]]) -> None:
    parameters = of(query)
    assert parameters.shared.text == shared
    assert {name: [*values] for name, values in parameters.own.items()} == own


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_name_means_the_same_in_whatever_spelling(name: str) -> None:
    encoded = f"%{ord(name[0]):02x}{name[1:]}"
    assert [*of(f"{encoded}=first&{name}=second").own[name]] == ["first", "second"]


def test_those_who_share_the_others_share_what_was_read_of_them() -> None:
    ann, ben = of("entity=order&clientId=ann"), of("clientId=ben&entity=order")
    assert ann.shared is ben.shared
    assert ann.shared.query["entity"] == "order"


def test_a_request_s_parameters_are_told_apart_once() -> None:
    request = make_mocked_request("GET", "/?clientId=ann")
    assert parameters_of(request) is parameters_of(request)


def test_whatever_some_are_the_rest_is_the_same() -> None:
    parameters = of("entity=order&clientId=ann&cursor=c&attempt=a").without(["clientId", "attempt"])
    assert parameters.shared.text == "entity=order"
    assert parameters.own == {"cursor": ["c"]}
