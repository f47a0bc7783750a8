"""gateway/cli/routes: of any JSON, and of any bytes, a route is made that can be used."""

import tomllib
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.cli.routes.changes import between, differing
from gateway.cli.routes.guess import Answer, guess
from gateway.cli.routes.lists import found_in, steps_of
from gateway.cli.routes.next_page import at
from gateway.cli.routes.request import Asked, request_settings
from gateway.cli.routes.toml import as_toml, toml_value
from gateway.service.settings import Settings
from gateway.service.variables import route_filled_in

NAMES = st.sampled_from(
    [
        "id",
        "items",
        "data",
        "next",
        "links",
        "href",
        "count",
        "total",
        "status",
        "pageInfo",
        "a/b",
        "~",
        "",
        "/x",
    ]
) | st.text(max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=30,
)
# What is given is written as in the configuration, where ${ begins the name of a variable.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: "${" not in text)
URLS = st.builds("http://h/{}?{}".format, TEXTS, TEXTS)


def _sendable(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """One field of each name, as the command takes them from its command line."""
    return tuple({name.lower(): (name, value.strip()) for name, value in headers}.values())


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Authorization", "X-Key", "Accept", "Host", "Cookie"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).filter(
            lambda text: "${" not in text
        ),
    ),
    max_size=3,
).map(_sendable)


def usable(asked: Asked, bodies: list[bytes]) -> None:
    made = guess(asked, [Answer(200, CIMultiDict({"Link": "<x>", "Vary": "a"}), body) for body in bodies])
    (route,) = tomllib.loads("\n".join(as_toml(made)))["legacy"]
    environ = request_settings(asked, made.settings["component"]).variables
    named = {name: value or "-" for name, value in environ.items()}
    Settings.model_validate({"legacy": [route_filled_in(route, named)]})


@given(JSON, JSON)
def test_any_json_gives_a_route_that_can_be_used(first: Any, second: Any) -> None:
    usable(Asked("http://h/api/orders"), [orjson.dumps(first), orjson.dumps(second)])


@given(JSON)
def test_an_answer_that_stays_the_same_gives_nothing_to_ignore(value: Any) -> None:
    body = orjson.dumps(value)
    made = guess(Asked("http://h/x"), [Answer(200, CIMultiDict(), body)] * 2)
    assert "ignore" not in made.settings


@given(st.binary(max_size=60))
@example(b"[" * 1000 + b"]" * 1000)
@example(b'{"a":' * 900 + b"1" + b"}" * 900)
def test_any_bytes_give_a_route_that_can_be_used(body: bytes) -> None:
    usable(Asked("http://h/api/orders"), [body])


@given(URLS, st.sampled_from(["GET", "POST"]), st.none() | TEXTS, HEADERS)
def test_any_request_gives_a_route_that_can_be_used(
    url: str, method: str, body: str | None, headers: tuple[tuple[str, str], ...]
) -> None:
    usable(Asked(url, "POST" if body is not None else method, body, headers), [b'[{"id": 1}]'])


@given(JSON)
def test_what_is_found_is_there(value: Any) -> None:
    for found in found_in(value):
        path = steps_of(found.pointer) if found.pointer else ()
        assert path == found.path
        here = at(value, path)
        assert len(here) == found.total
        assert isinstance(here, list if found.shape == "list" else dict)


@given(JSON, JSON)
def test_values_differ_where_they_are_not_equal(one: Any, other: Any) -> None:
    assert (
        bool(list(differing(one, other)))
        == (
            orjson.dumps(one, option=orjson.OPT_SORT_KEYS) != orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
        )
        or one == other
    )
    assert not between({"a": one}, {"a": one}).members


@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_toml_reads_what_is_written(value: Any) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
