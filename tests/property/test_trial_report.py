"""gateway/cli/routes/trial_report.py: of whatever two answers, and whatever route, something is said."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.items import Items
from gateway.cli.routes.asking import Heard
from gateway.cli.routes.trial_report import report_on
from gateway.ports.legacy_route import LegacyRoute
from tests.support.legacy import legacy_route

NAMES = st.sampled_from(["id", "docs", "next", "count", "errors", "data", "a/b", "", "\x1b"]) | st.text(
    max_size=4
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)
BODIES = JSON.map(orjson.dumps) | st.binary(max_size=20)
ROUTES = st.builds(
    lambda shape, items, key, events: legacy_route(
        items=items,
        key=key,
        shape=shape,
        events=events,
        id=None,
        changes={},
        empty=("null", "absent"),
    ),
    st.sampled_from(["list", "map", "single"]),
    st.sampled_from(["", "/docs", "/data/0", "/a~1b"]),
    st.sampled_from(["id", "/a/b", ("id", "count")]),
    st.sampled_from(["poll", "external", "none"]),
)


def heard(route: LegacyRoute, body: bytes) -> Heard:
    items: Items | None = Items(body, route)
    error = None
    try:
        for _ in items.reading():
            pass
    except BadAnswer as failure:
        items, error = None, failure
    headers = CIMultiDictProxy(CIMultiDict({"Vary": "a, *", "Link": "<>; rel=next", "ETag": '"a"'}))
    return Heard(Fetched(headers, body), 0.1, error, items)


@given(ROUTES, BODIES, BODIES)
def test_of_any_two_answers_something_is_said(route: LegacyRoute, first: bytes, second: bytes) -> None:
    lines, code = report_on(route, heard(route, first), heard(route, second))
    assert lines[0] == route.name
    assert all(line.isprintable() for line in lines)
    assert code in (0, 3)


@given(ROUTES, JSON)
def test_of_an_answer_that_stays_the_same_nothing_is_said_to_change(route: LegacyRoute, value: Any) -> None:
    answer = heard(route, orjson.dumps(value))
    lines, _ = report_on(route, answer, answer)
    assert not any("Most items changed" in line for line in lines)
