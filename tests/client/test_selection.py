"""The browser selects as the gateway does: the same filters and events, given to both."""

import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from gateway.core.errors import BadParameter
from gateway.core.events import Event
from gateway.core.selectors import Match, parse_selector
from tests.support.npm import require

SCRIPT = Path(__file__).parent / "support" / "select_lines.js"

Ask = Callable[[dict[str, Any], dict[str, Any]], str]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.text('",.()\\=einq7 ', max_size=9)
EXACT = 2**53
"""A browser's numbers are floating-point ones: whole ones beyond this are not told apart there."""
NUMBERS = st.integers(-EXACT, EXACT) | st.floats(allow_nan=False, allow_infinity=False)
FEW = st.sampled_from(["7", "null", "true", "", "a,b", 7, 7.0, 8, -0.0, None, True, False, "￿", "\U0001f600"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | FEW
VALUES = SCALARS | FEW | st.lists(FEW, max_size=2) | st.dictionaries(st.sampled_from("ab"), FEW, max_size=2)
ROWS = st.dictionaries(st.sampled_from(["a", "b", "constructor"]), VALUES, max_size=3)
MEMBERS = st.sampled_from(["a", "b", "a.a", "a.b.a", "constructor", "a.length"])
OPERATORS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte", "in", "is"])
EVENTS = st.fixed_dictionaries(
    {"eventType": st.sampled_from(["u", "v"]), "action": st.sampled_from(["insert", "update", "delete"])},
    optional={"data": ROWS, "previous": ROWS},
)
ENTITIES = st.fixed_dictionaries({"entityType": st.sampled_from(["order", "job"])}) | st.just({})
IDS = st.sampled_from(["1", "a,b", '"', 'a"b', "a:b", "order"])


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """What becomes of an event in the browser; `refused` where the selection is a bad one."""
    process = subprocess.Popen(
        [require("node"), str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    given, told = process.stdin, process.stdout

    def asked(selection: dict[str, Any], event: dict[str, Any]) -> str:
        given.write(json.dumps({"selection": selection, "event": event}) + "\n")
        given.flush()
        return str(json.loads(told.readline()))

    yield asked
    given.close()
    told.close()
    process.wait(timeout=60)


def at_the_gateway(query: list[tuple[str, str]], event: dict[str, Any]) -> str:
    try:
        selector = parse_selector(MultiDict(query), {})
    except BadParameter:
        return "refused"
    match = selector.match(
        Event(
            event["eventType"],
            event.get("entityType"),
            event.get("entityId"),
            event["action"],
            "2026-11-20T10:30:00.123Z",
            event.get("data"),
            event.get("previous"),
        )
    )
    return {Match.SKIP: "skip", Match.DELIVER: "deliver", Match.LEAVE: "leave"}[match]


def written(operand: Any) -> str:
    """An operand as a person writes it, who puts no text in quotes."""
    return operand if isinstance(operand, str) else json.dumps(operand)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


OPERANDS = (
    SCALARS.map(written)
    | TEXTS.map(quoted)
    | FEW.map(lambda one: quoted(one) if isinstance(one, str) else written(one))
)


@st.composite
def filters(draw: st.DrawFn) -> str:
    operator = draw(OPERATORS)
    if operator == "in":
        operand = f"({','.join(draw(st.lists(OPERANDS, max_size=3)))})"
    elif operator == "is":
        operand = draw(st.sampled_from(["null", "true", "false"]) | OPERANDS)
    else:
        operand = draw(OPERANDS)
    return f"{draw(MEMBERS)}={operator}.{operand}"


LOOSE = st.text('ab=.eqinlt,()"\\7 ', max_size=24).map(lambda text: f"a={text}")
FILTERS = st.lists(filters(), min_size=1, max_size=3).map(",".join) | LOOSE

UNHURRIED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=600)


POOL = [
    None,
    True,
    False,
    0,
    -0.0,
    7,
    7.5,
    -1e300,
    "",
    "7",
    "null",
    "a,b",
    'a"b',
    "ab",
    "￿",
    "\U0001f600",
    "\U0001f601",
]
"""What is equal, or only looks so; texts whose order differs by code point and by UTF-16."""
WRITTEN = {one if isinstance(one, str) else json.dumps(one) for one in POOL}
WRITTEN |= {quoted(one) for one in POOL if isinstance(one, str)}
WRITTEN |= {
    "1e400",
    '"',
    '"a"b',
    "(a",
    "a)",
    "(a)",
    "x=eq.1",
    "(x=eq.1)",
    "x=zz.1",
    "7,7",
    "(7,8)",
    "()",
    "(,)",
    "((7),7)",
}


@pytest.mark.parametrize("operator", ["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "zz", "constructor"])
def test_every_operator_takes_and_compares_the_same(ask: Ask, operator: str) -> None:
    rows: list[dict[str, Any]] = [{"a": value} for value in [*POOL, [7], {"a": 7}]]
    for operand in sorted(WRITTEN | {f"({one},8)" for one in WRITTEN}):
        text = f"a={operator}.{operand}"
        for data in [*rows, {}]:
            event = {"eventType": "u", "action": "insert", "data": data}
            assert ask({"filter": text}, event) == at_the_gateway([("filter", text)], event), (text, data)


@pytest.mark.parametrize("action", ["insert", "update", "delete", "signal"])
def test_who_leaves_and_who_stays_is_the_same(ask: Ask, action: str) -> None:
    rows: list[dict[str, Any] | None] = [
        None,
        {},
        {"a": 7},
        {"a": 8},
        {"b": 1},
        {"a": 7, "b": 1},
        {"a": {"b": 1}},
    ]
    for text in ("a=eq.7", "a=eq.7,b=eq.1", "a=is.null", "a.b=eq.1", "b=neq.1", "toString=is.null"):
        for data, previous in product(rows, rows):
            event: dict[str, Any] = {"eventType": "u", "action": action}
            event |= {name: row for name, row in (("data", data), ("previous", previous)) if row is not None}
            assert ask({"filter": text}, event) == at_the_gateway([("filter", text)], event), (text, event)


@UNHURRIED
@given(FILTERS, EVENTS)
def test_a_filter_means_the_same_in_both(ask: Ask, text: str, event: dict[str, Any]) -> None:
    assert ask({"filter": text}, event) == at_the_gateway([("filter", text)], event)


@UNHURRIED
@given(st.lists(FILTERS, max_size=2), EVENTS, ENTITIES, IDS, st.lists(st.tuples(ENTITIES, IDS), max_size=3))
def test_kinds_are_anded_and_the_values_of_one_ored(
    ask: Ask,
    texts: list[str],
    event: dict[str, Any],
    entity: dict[str, str],
    entity_id: str,
    wanted: list[tuple[dict[str, str], str]],
) -> None:
    event |= entity | ({"entityId": entity_id} if entity else {})
    names = [(one.get("entityType", "job"), given_id if one else None) for one, given_id in wanted]
    query = [("filter", text) for text in texts]
    query += [("entity", kind if one is None else f"{kind}:{quoted(one)}") for kind, one in names]
    query += [("eventTypes", "u")]
    selection = {
        "filter": texts,
        "eventTypes": ["u"],
        "entities": [kind if one is None else f"{kind}:{one}" for kind, one in names],
    }
    assert ask(selection, event) == at_the_gateway(query, event)
