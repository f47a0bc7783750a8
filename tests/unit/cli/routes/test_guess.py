"""gateway/cli/routes/guess.py, with toml.py: a route for answers of many makes, and that it can be used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.cli.routes.guess import Answer, guess
from gateway.cli.routes.naming import variable
from gateway.cli.routes.request import Asked, request_settings
from gateway.cli.routes.toml import as_toml
from gateway.service.config import load_settings
from gateway.service.settings import Settings
from gateway.service.wiring.routes import routes_of
from tests.support.upstream_answers import CASES, Case


def read_back(lines: list[str], tmp_path: Path, environ: Mapping[str, str]) -> Settings:
    file = tmp_path / "tidegate.toml"
    file.write_text("\n".join(lines) + "\n")
    return load_settings(file, environ=environ)


def doubts_about(answer: Any, headers: Mapping[str, str], asked: Asked) -> str:
    given = Answer(200, CIMultiDict(headers), answer, 0.0)
    return " ".join(guess(asked, [given]).doubts)


@pytest.mark.parametrize("name", CASES)
def test_the_route_says_what_the_answer_says(name: str) -> None:
    case = CASES[name]
    made = guess(case.asked, case.answers)
    assert {key: made.settings.get(key) for key in case.expected} == case.expected


@pytest.mark.parametrize("name", CASES)
def test_the_route_is_a_configuration_that_can_be_used(name: str, tmp_path: Path) -> None:
    case: Case = CASES[name]
    made = guess(case.asked, case.answers)
    lines = as_toml(made)
    environ = request_settings(case.asked, made.settings["component"]).variables
    settings = read_back(lines, tmp_path, {**environ, "y": "-"})
    (route,) = routes_of(settings)
    assert route.shared
    assert "hunter2" not in "\n".join(lines)


def test_what_was_given_is_in_the_environment_and_reaches_the_poll(tmp_path: Path) -> None:
    case = CASES["github"]
    made = guess(case.asked, case.answers)
    assert "Check: Set ISSUES_TOKEN in the environment" in "\n".join(as_toml(made))
    (route,) = routes_of(read_back(as_toml(made), tmp_path, {"ISSUES_TOKEN": "hunter2"}))
    assert route.headers["Authorization"] == "Bearer hunter2"


def test_a_secret_in_a_body_is_one() -> None:
    asked = Asked(
        "http://h/rpc", "POST", '{"user": "a", "apiKey": "hunter2", "price": "${x}", "token": "${y}"}'
    )
    said = request_settings(asked, "rpc")
    assert said.settings["body"] == '{"user": "a", "apiKey": "${RPC_BODY}", "price": "${x}", "token": "${y}"}'
    assert said.variables == {"RPC_BODY": "hunter2"}


@pytest.mark.parametrize("name", ["Host", "Connection", "Accept-Encoding"])
def test_a_field_that_a_poll_can_not_be_given_is_left_out_and_said(name: str) -> None:
    said = request_settings(Asked("http://h/x", headers=((name, "br"),)), "x")
    assert "headers" not in said.settings
    assert said.doubts[0].startswith(f"{name} is left out: it ")


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b'[{"id": 1}]', {"Vary": "Cookie, Accept-Encoding"}, "Vary: Cookie says that the answer depends"),
        (b'[{"id": 1}]', {"Vary": "origin, accept"}, 'text/plain, */*" } lets them share'),
        (b'[{"id": 1}]', {"Vary": "*"}, "every caller goes through"),
        (b'[{"id": 1}]', {"Cache-Control": "private, no-cache"}, "Cache-Control: private"),
        (b'[{"id": 1}]', {"Set-Cookie": "a=b"}, "sets a cookie"),
        (b'[{"id": 1}]', {}, "The key is a guess from one item"),
        (b'[{"a": 1.5}, {"a": 2.5}]', {}, "No member of the items can be a key"),
        (b'[{"id": 1}, {"id": 1}]', {}, "No key is unique"),
        (b'[{"text": "a"}, {"text": "b"}]', {}, "The key is a guess: text is unique"),
        (b'[{"id": 1}, 7, {"id": 2}]', {}, "1 items are no objects"),
        (b'{"a": [{"id": 1}], "b": [{"id": 1}, {"id": 2}]}', {}, "There are items at /a (1) as well"),
        (b'{"items": [{"id": 1}], "nextPageToken": "x"}', {}, "/nextPageToken is a token and no address"),
        (b'{"items": [{"id": 1}], "total": 90}', {}, "/total says 90, and 1 are listed"),
        (
            b'{"data": {"o": {"nodes": [{"id": 1}], "pageInfo": {"hasNextPage": true}}}}',
            {},
            "/data/o/pageInfo/hasNextPage is true",
        ),
        (b'{"errors": [{"message": "no field x"}]}', {}, "The answer tells errors, as GraphQL does"),
        (b"[]", {}, "There are no items to see a key in"),
        (b"", {}, "The answer is empty"),
        (b"a,b\n1,2\n", {}, "The answer is CSV"),
    ],
)
def test_what_is_doubtful_is_said(body: bytes, headers: dict[str, str], said: str) -> None:
    assert said in doubts_about(body, headers, Asked("http://h/orders"))


def test_an_accept_that_was_chosen_is_left_alone() -> None:
    asked = Asked("http://h/orders", headers=(("accept", "*/*"),))
    assert "lets them share" not in doubts_about(b'[{"id": 1}]', {"Vary": "Accept"}, asked)


def test_a_key_that_changes_from_answer_to_answer_is_doubtful() -> None:
    answers = [Answer(200, CIMultiDict(), body) for body in (b'[{"id": 1}, {"id": 2}]', b'[{"id": 3}]')]
    assert any("no item is in both" in doubt for doubt in guess(Asked("http://h/orders"), answers).doubts)


def test_what_changed_in_few_items_is_said_and_not_ignored() -> None:
    bodies = (
        b'[{"id": 1, "a": 1}, {"id": 2, "a": 1}, {"id": 3, "a": 1}]',
        b'[{"id": 1, "a": 2}, {"id": 2, "a": 1}, {"id": 3, "a": 1}]',
    )
    made = guess(Asked("http://h/orders"), [Answer(200, CIMultiDict(), body) for body in bodies])
    assert "ignore" not in made.settings
    assert any("changed as well: /a" in doubt for doubt in made.doubts)


def test_what_may_be_wanted_stands_in_comments() -> None:
    item = {"id": 7, "status": "new", "archived": False, "url": "http://h/api/orders/7"}
    case = Case(Asked("http://h/customers/17/orders"), ([item],), {})
    text = "\n".join(as_toml(guess(case.asked, case.answers)))
    assert '\n# changes = { status = "status_change" }' in text
    assert '\n# deleted = "/archived"' in text
    assert '\n# path = "/customers/{number}/orders"' in text
    assert '\n# public_url = "https://api.example"' in text.replace("http://h/api", "http://h/api")


def test_a_page_is_left_to_callers() -> None:
    made = guess(Asked("http://h/orders?page=2&size=9"), [Answer(200, CIMultiDict(), b'[{"id": 1}]')])
    assert (made.settings["query"], made.settings["vary_query"]) == ("size=9", ["page", "size"])
    assert any(doubt.startswith("page is left to callers") for doubt in made.doubts)


def test_an_upstream_that_has_no_content_has_no_items() -> None:
    made = guess(Asked("http://h/orders"), [Answer(204, CIMultiDict(), b"")] * 2)
    assert made.settings["empty"] == ["null", 204]
    assert "events" not in made.settings


def test_a_state_within_an_object_is_a_pointer() -> None:
    body = b'[{"id": 1, "status": {"state": "up", "n": 1}, "state": 3, "phase": "x"}]'
    made = guess(Asked("http://h/orders"), [Answer(200, CIMultiDict(), body)])
    assert made.maybe[0][1] == {"/status/state": "status_change", "phase": "phase_change"}


def test_of_a_pair_only_what_changes_is_ignored() -> None:
    bodies = (b'[{"id": 1, "value": [7, "1"]}, {"id": 2, "value": [7, "1"]}]',)
    bodies += (bodies[0].replace(b"7", b"8"),)
    made = guess(Asked("http://h/orders"), [Answer(200, CIMultiDict(), body) for body in bodies])
    assert made.settings["ignore"] == ["/value/0"]


def test_a_slow_upstream_is_not_asked_so_often() -> None:
    answer = Answer(200, CIMultiDict(), b'[{"id": 1}]', 2.2)
    assert guess(Asked("http://h/orders"), [answer]).settings["interval_seconds"] == 5


def test_what_an_upstream_says_ends_no_comment() -> None:
    body = b'[{"id\\n[[legacy]]": "a", "x": {"\\n\\u0000evil": "b"}}]'
    made = guess(Asked("http://h/orders"), [Answer(200, CIMultiDict({"Vary": "A\n[x]"}), body)])
    assert [line for line in as_toml(made) if line.startswith("[")] == ["[[legacy]]"]


@pytest.mark.parametrize(
    ("component", "field", "name"),
    [
        ("orders", "Authorization", "ORDERS_TOKEN"),
        ("a.b-c", "X-Api-Key", "A_B_C_X_API_KEY"),
        ("tidegate", "Authorization", "UPSTREAM_TIDEGATE_TOKEN"),
        ("7up", "Cookie", "UPSTREAM_7UP_TOKEN"),
    ],
)
def test_a_variable_is_named_after_what_it_is_for(component: str, field: str, name: str) -> None:
    assert variable(component, field) == name
    assert variable(component, field, {name}) == f"{name}_2"
