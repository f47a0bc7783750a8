"""gateway/cli/routes/advice.py: each fault that can be named has its remedy."""

from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from gateway.cli.routes.advice import Refused, advice_on_body, advice_on_failure, advice_on_status
from tests.support.legacy import legacy_route


def said_of(status: int, route: dict[str, Any] | None = None, **headers: str) -> str:
    fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return " ".join(advice_on_status(legacy_route(**(route or {})), Refused(status, fields)))


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (301, {"Location": "/v2/orders?key=s"}, "It leads to http://127.0.0.1:9000/v2/orders: make that the"),
        (302, {"Location": "/login?next=/orders"}, "where people log in: the poll needs credentials"),
        (308, {"Location": "https://b.example/o"}, "https://b.example/o, of another origin: make that the"),
        (308, {"Location": "https://u:p@b.example/o"}, "It leads to https://b.example/o, of another origin"),
        (401, {"WWW_Authenticate": 'Basic realm="x"'}, 'headers = { Authorization = "Basic ${NAME}" }'),
        (401, {}, 'headers = { Authorization = "Bearer ${NAME}" }'),
        (403, {}, "does not let the poll in"),
        (404, {}, "set empty = [404]"),
        (405, {"Allow": "POST, OPTIONS"}, 'It does not take GET (but POST, OPTIONS): set method = "POST"'),
        (405, {}, 'set method = "POST", with the body'),
        (406, {}, "set Accept in headers"),
        (409, {"X_Transmission_Session_Id": "s"}, '"X-Transmission-Session-Id" = "${NAME}"'),
        (415, {}, "set content_type"),
        (421, {}, "set public_url"),
        (429, {"Retry_After": "120"}, "It says Retry-After: 120, and the poll waits that long"),
        (500, {}, "The upstream itself failed"),
        (503, {"Retry_After": "5"}, "Retry-After: 5"),
        (204, {}, "set empty = [204]"),
    ],
)
def test_a_status_has_its_remedy(status: int, headers: dict[str, str], said: str) -> None:
    assert said in said_of(status, **headers)


def test_credentials_that_were_given_are_not_asked_for_again() -> None:
    said = said_of(401, {"headers": {"authorization": "Bearer hunter2"}})
    assert said == "It does not take the credentials of headers.Authorization; it asks for Bearer."


def test_a_post_that_is_not_taken_becomes_a_get() -> None:
    assert 'set method = "GET".' in said_of(405, {"method": "POST", "body": "{}"}, Allow="GET, HEAD")


@pytest.mark.parametrize("status", [200, 418, 499])
def test_of_other_statuses_nothing_is_known(status: int) -> None:
    assert said_of(status) == ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("refused", "is the upstream running"),
        ("name", "no such host"),
        ("tls", "ca_file"),
        ("timeout", "timeout_seconds"),
        ("too_large", "max_body_bytes"),
        ("page_loop", "circle"),
        ("other_origin", "public_url"),
        ("too_many_pages", "max_pages"),
        ("not_http", "https"),
    ],
)
def test_a_failure_has_its_remedy(kind: str, said: str) -> None:
    assert said in advice_on_failure(kind)[0]


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("not_json", b"<html><body>Log in</body></html>", "HTML, a page for people"),
        ("not_json", b"<orders/>", "is XML: a function that makes a list of it can be named as decode"),
        ("not_json", b"id,a\n1,2\n", "is CSV"),
        ("not_json", b'{"a": 1}\n{"a": 2}\n', "is JSON line by line"),
        ("not_json", b" ", "should say 204"),
        ("too_deep", b"[" * 300 + b"]" * 300, "nested too deeply"),
        ("no_list", {"items": [{"id": 1}], "meta": {}}, 'There are 1 items at /items: items = "/items".'),
        ("no_list", {"a": {"x": {"n": 1, "m": 2}, "y": {"n": 1, "m": 2}}}, 'items = "/a" and shape = "map"'),
        ("no_list", {"docs": None}, 'set empty = ["null"]'),
        ("no_list", {"errors": [{"message": "x"}], "data": None}, "is the query in body right"),
        ("no_list", {"state": "up"}, 'shape = "single"'),
        ("no_list", {"state": "up"}, 'empty = ["absent"]'),
        ("no_key", {"docs": [{"uid": "a"}, {"uid": "b"}]}, 'What can be a key in this answer: key = "uid".'),
        (
            "duplicate_key",
            {"docs": [{"orderID": 1, "line": 1}, {"orderID": 1, "line": 2}, {"orderID": 2, "line": 1}]},
            'Unique in this answer: key = ["orderID", "line"].',
        ),
        ("duplicate_key", {"docs": [{"a": 1}, {"a": 1}]}, "nor two or three together, is unique"),
    ],
)
def test_a_body_that_can_not_be_compared_has_its_remedy(kind: str, body: Any, said: str) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    assert said in " ".join(advice_on_body(legacy_route(), kind, content, "application/json"))
