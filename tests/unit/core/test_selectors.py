"""What a reader asked for: how it is written, and what it matches."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from multidict import MultiDict

from gateway.core.errors import BadParameter
from gateway.core.events import Event
from gateway.core.grants import EVERY, Grant, Scope
from gateway.core.revocations import Revocation
from gateway.core.selectors import (
    EVERYTHING,
    MAX_FILTERS,
    MAX_VALUES,
    Match,
    Selector,
    entity_key,
    parse_selector,
    type_key,
)
from tests.support.effort import calls_of, peak_bytes_of
from tests.support.events import an_event

ALIASES = {"order": "orderID", "job": "jobID"}
SKIP, DELIVER, LEAVE = Match.SKIP, Match.DELIVER, Match.LEAVE


def select(query: str) -> Selector:
    return parse_selector(MultiDict(parse_qsl(query, keep_blank_values=True)), ALIASES)


def of_data(data: dict[str, Any] | None, **members: Any) -> Event:
    return an_event("order:1", data=data, **members)


SAME = [
    ("entity=order&entity=job", "entity=job,order"),
    ("entity=order:1&entity=order:2", "entity=order:2,order:1,order:1"),
    ("entity=order:1", "orderID=1"),
    ("entity=order:1&entity=order:2&entity=job:3", "orderID=1,2&jobID=3"),
    ("eventTypes=a,b", "event_type=b&types=a"),
    ("eventTypes=a", "types=a&eventTypes=a&event_type=a,a"),
    ("filter=n%3Deq.1&filter=m%3Deq.2", "filter=m%3Deq.2,n%3Deq.1,m%3Deq.2"),
    ("filter=n%3Din.(1,2),m%3Dis.null", "filter=m%3Dis.null&filter=n%3Din.(1,2)"),
    ('entity=order:"1",job', "entity=job&orderID=1"),
    ('types="a",b', "eventTypes=a,b"),
    ('entity=order:"a,b",job:c', 'orderID="a,b"&jobID=c'),
    (r'entity=order:"\"a\\"', r'orderID="\"a\\"'),
    ('entity=order:a"b\\c', r'orderID="a\"b\\c"'),
    ('filter=n%3Deq."a,b",m%3Deq.(', "filter=m%3Deq.(&filter=n%3Deq.%22a%2Cb%22"),
    ("", "component=orders&cursor=x&unknown=%00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_selection_written_otherwise_is_equal(one: str, other: str) -> None:
    assert select(one) == select(other)
    assert hash(select(one)) == hash(select(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("entity=order", "entity=order:1"),
        ("entity=order", "eventTypes=order"),
        ("filter=n%3Deq.1", "filter=n%3Deq.2"),
        ("filter=n%3Deq.1", "filter=n%3Deq.true"),
        ("", "entity=order"),
    ],
)
def test_different_selections_differ(one: str, other: str) -> None:
    assert select(one) != select(other)


@pytest.mark.parametrize("query", [query for pair in SAME for query in pair])
def test_a_selectors_own_query_parses_to_it_again(query: str) -> None:
    selector = select(query)
    assert parse_selector(MultiDict(selector.query()), ALIASES) == selector


def test_the_query_has_a_fixed_order() -> None:
    assert select("types=b,a&entity=order,job:2&filter=n%3Deq.1,a%3Deq.1").query() == [
        ("entity", "job:2"),
        ("entity", "order"),
        ("eventTypes", "a"),
        ("eventTypes", "b"),
        ("filter", "a=eq.1"),
        ("filter", "n=eq.1"),
    ]


def test_an_entity_id_may_hold_colons() -> None:
    assert select("entity=order:a:b").match(an_event("order:a:b")) is DELIVER


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *(("entity=" + value, "entity") for value in ("", ",", "order,", "a%20b", ":1", "order:", "x" * 65)),
        *(("entity=order:" + value, "entity") for value in ("%00", "%0A", "%C2%85", "x" * 257)),
        *(("orderID=" + value, "orderID") for value in ("", "1,,2", "%7F", "x" * 257)),
        *(("entity=" + value, "entity") for value in ('order:"', 'order:"a"b', 'order:""', '"order:1"')),
        *(("entity=" + value, "entity") for value in (r'order:"a\b"', 'order:"a%00"', 'order:"a,job')),
        *(("orderID=" + value, "orderID") for value in ('"', '"a"b', '""', 'a,"b', '"%0A"')),
        ("orderID=" + '"' + "x," * 129 + '"', "orderID"),
        *((name + "=", name) for name in ("eventTypes", "event_type", "types")),
        *((name + "=a,b%20c", name) for name in ("eventTypes", "event_type", "types")),
        *(("filter=" + value, "filter") for value in ("", ",", "n", "n%3D", "n%3Deq", "%3Deq.1", "n%3D.1")),
        *(
            ("filter=" + value, "filter")
            for value in ("n%3DEQ.1", "n%3Dlike.a", "n%3Dnot.eq.1", "n%3D%3Deq.1")
        ),
        *(("filter=" + value, "filter") for value in (".n%3Deq.1", "n.%3Deq.1", "a..b%3Deq.1", "n%3Deq.%00")),
        *(("filter=" + value, "filter") for value in ("n%3Dis.", "n%3Dis.1", "n%3Dis.NULL", "n%3Dis.(null)")),
        *(
            ("filter=" + value, "filter")
            for value in ("n%3Din.", "n%3Din.7", "n%3Din.()", "n%3Din.(7", "n%3Din.7)")
        ),
        *(("filter=" + value, "filter") for value in ("n%3Dgt.null", "n%3Dlt.true", "n%3Dgte.false")),
        *(("filter=" + value, "filter") for value in ("n%3Deq.1e999", "n%3Deq.-1e999", "n%3Din.(1,1e999)")),
        *(("filter=" + value, "filter") for value in ("x" * 257 + "%3Deq.1", "n%3Deq.1,,m%3Deq.2")),
        ("filter=n%3Deq." + "1" * 5000, "filter"),
    ],
)
def test_what_is_malformed_is_a_400_that_names_the_parameter(query: str, parameter: str) -> None:
    with pytest.raises(BadParameter) as refused:
        select(query)
    assert refused.value.status == 400
    assert refused.value.errors[0]["parameter"] == parameter


def test_an_empty_selector_delivers_everything() -> None:
    selector = select("")
    assert selector.match(an_event(None)) is DELIVER
    assert selector.match(an_event("order:1")) is DELIVER


def test_an_event_without_an_entity_is_not_for_who_asked_for_one() -> None:
    assert select("entity=order").match(an_event(None)) is SKIP


@pytest.mark.parametrize(
    ("query", "entity", "match"),
    [
        ("entity=order", "order:1", DELIVER),
        ("entity=order", "orders:1", SKIP),
        ("entity=order:1", "order:1", DELIVER),
        ("entity=order:1", "order:10", SKIP),
        ("entity=order:1,job", "job:9", DELIVER),
        ("entity=order:1,job:9", "order:9", SKIP),
    ],
)
def test_entities_are_matched_by_type_and_id(query: str, entity: str, match: Match) -> None:
    assert select(query).match(an_event(entity)) is match


@pytest.mark.parametrize("query", ["", "eventTypes=tidegate.revocation", "filter=issuedBefore=gt.0"])
@pytest.mark.parametrize("scope", [None, Scope.of([Grant(EVERY)])])
def test_a_revocation_is_nobodys_whatever_was_asked_for(query: str, scope: Scope | None) -> None:
    revocation = Revocation("subject", "ana", 7.0, "left").event("2026-11-20T10:30:00.123Z")
    assert replace(select(query), scope=scope).match(revocation) is Match.SKIP


def test_kinds_are_anded_and_values_ored() -> None:
    selector = select("entity=order,job&types=a,b&filter=n%3Dgt.1&filter=n%3Dlt.5")
    assert selector.match(an_event("job:1", "b", data={"n": 2})) is DELIVER
    assert selector.match(an_event("job:1", "c", data={"n": 2})) is SKIP
    assert selector.match(an_event("task:1", "b", data={"n": 2})) is SKIP
    assert selector.match(an_event("job:1", "b", data={"n": 5})) is SKIP


def test_a_comma_within_parentheses_does_not_end_a_filter() -> None:
    selector = select("filter=n%3Din.(1,2),m%3Dgt.3")
    assert selector.match(of_data({"n": 2, "m": 4})) is DELIVER
    assert selector.match(of_data({"n": 2, "m": 3})) is SKIP


def test_an_event_without_data_has_no_members() -> None:
    assert select("filter=n%3Dis.null").match(of_data(None)) is DELIVER
    assert select("filter=n%3Dneq.1").match(of_data(None)) is SKIP


ACTIVE = "filter=n%3Deq.1"


@pytest.mark.parametrize(
    ("action", "data", "previous", "match"),
    [
        ("update", {"n": 1}, {"n": 1}, DELIVER),
        ("update", {"n": 1}, {"n": 2}, DELIVER),
        ("update", {"n": 2}, {"n": 1}, LEAVE),
        ("update", {"n": 2}, {"n": 3}, SKIP),
        ("update", {"n": 2}, None, SKIP),
        ("update", None, {"n": 1}, LEAVE),
        ("update", {}, {"n": 1}, LEAVE),
        ("insert", {"n": 2}, {"n": 1}, SKIP),
        ("signal", {"n": 2}, {"n": 1}, SKIP),
        ("insert", {"n": 1}, None, DELIVER),
        ("delete", {"n": 1}, None, DELIVER),
        ("delete", None, {"n": 1}, DELIVER),
        ("delete", {}, {"n": 1}, DELIVER),
        ("delete", {"n": 1}, {"n": 2}, SKIP),
        ("delete", {"n": 1}, {"m": 2}, DELIVER),
        ("delete", None, None, SKIP),
    ],
)
def test_an_update_out_of_the_view_is_a_leave_and_a_delete_is_judged_by_the_last_state(
    action: str, data: dict[str, Any] | None, previous: dict[str, Any] | None, match: Match
) -> None:
    event = of_data(data, previous=previous, action=action)
    assert select(ACTIVE).match(event) is match


def test_a_previous_of_only_the_changed_members_is_completed_from_data() -> None:
    selector = select("filter=n%3Deq.1,m%3Deq.5")
    assert selector.match(of_data({"n": 2, "m": 5}, previous={"n": 1})) is LEAVE
    assert selector.match(of_data({"n": 2, "m": 6}, previous={"n": 1})) is SKIP


def test_an_old_state_that_is_whole_counts_as_it_is() -> None:
    # The old state had no `m`. Completed from `data` it would have one, and the row would stay on the screen.
    event = of_data({"n": 1, "m": 2}, previous={"n": 1})
    assert select("filter=m%3Dis.null").match(event) is LEAVE


def test_an_object_in_previous_takes_the_place_of_the_one_in_data() -> None:
    event = of_data({"n": 2, "a": {"b": 1, "c": 5}}, previous={"n": 1, "a": {"b": 1}})
    assert select("filter=n%3Deq.1,a.b%3Deq.1").match(event) is LEAVE
    assert select("filter=n%3Deq.1,a.c%3Deq.5").match(event) is SKIP


OPERANDS = ",".join(map(str, range(MAX_VALUES)))


@pytest.mark.parametrize("value", [{"a": 1}, [1], "x" * 60_000, -1, 0.5, None, True])
def test_a_comparison_with_a_thousand_operands_costs_what_one_does(value: Any) -> None:
    many, one = select(f"filter=n%3Din.({OPERANDS})"), select("filter=n%3Din.(0)")
    events = [of_data({"n": value}), of_data({"n": -2}, previous={"n": value}, action="update")]
    for event in events:
        assert many.match(event) is SKIP
        assert calls_of(lambda: many.match(event)) == calls_of(lambda: one.match(event))  # noqa: B023


def test_a_look_at_the_old_state_makes_no_copy_of_a_large_one() -> None:
    selector = select("filter=n%3Deq.1,m%3Deq.2")
    large = {f"member{number}": number for number in range(5000)}
    for action in ("update", "delete"):
        event = of_data(large, previous={"n": 1}, action=action)
        assert selector.match(event) is SKIP
        assert peak_bytes_of(lambda: selector.match(event)) < 10_000  # noqa: B023


def values(count: int) -> str:
    return ",".join(f"v{number}" for number in range(count))


WITHIN_BOUNDS = [
    f"entity={values(MAX_VALUES)}",
    f"orderID={values(MAX_VALUES)}",
    f"types={values(MAX_VALUES)}",
    f"filter=n%3Din.({values(MAX_VALUES)})",
    f"entity={values(500)}&orderID={values(200)}&types={values(200)}&filter=n%3Din.({values(99)}),m%3Deq.1",
    "filter=" + ",".join(f"m{number}%3Deq.1" for number in range(MAX_FILTERS)),
    # A comma in quotes is no further value.
    'filter=n%3Deq."' + "," * 5000 + '"',
    "&".join(['entity=order:"' + ",a" * 128 + '"'] * 100),
]


@pytest.mark.parametrize("query", WITHIN_BOUNDS)
def test_a_selection_may_be_as_large_as_its_bounds(query: str) -> None:
    assert select(query) != select("")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        (f"entity={values(MAX_VALUES + 1)}", "entity"),
        ("entity=a" + ",a" * MAX_VALUES, "entity"),
        ("&".join(["entity=a"] * (MAX_VALUES + 1)), "entity"),
        (f"jobID={values(MAX_VALUES + 1)}", "jobID"),
        (f"entity={values(MAX_VALUES)}&orderID=1", "orderID"),
        (f"event_type={values(MAX_VALUES + 1)}", "event_type"),
        (f"eventTypes={values(MAX_VALUES)}&types=a", "types"),
        (f"entity={values(MAX_VALUES)}&filter=n%3Deq.1", "filter"),
        ("filter=n%3Din.(1" + ",1" * MAX_VALUES + ")", "filter"),
        (f"filter=n%3Din.({values(600)})&filter=m%3Din.({values(401)})", "filter"),
        ("filter=" + ",".join(["n%3Deq.1"] * (MAX_FILTERS + 1)), "filter"),
        ("&".join(["filter=n%3Deq.1"] * (MAX_FILTERS + 1)), "filter"),
        ('filter=n%3Din.(""' + ',"a,b"' * MAX_VALUES + ")", "filter"),
        ("orderID=1" + ',"a,b"' * MAX_VALUES, "orderID"),
    ],
)
def test_a_selection_over_its_bounds_is_refused_with_the_parameter_that_passed_them(
    query: str, parameter: str
) -> None:
    with pytest.raises(BadParameter) as refused:
        select(query)
    assert [error["parameter"] for error in refused.value.errors] == [parameter]


def test_an_entity_or_type_that_was_not_asked_for_never_leaves() -> None:
    event = of_data({"n": 2}, previous={"n": 1})
    assert select(ACTIVE + "&entity=job").match(event) is SKIP
    assert select(ACTIVE + "&types=other").match(event) is SKIP


@pytest.mark.parametrize(
    ("query", "entity_type", "expected"),
    [("", "order", True), ("entity=order:1", "order", True), ("entity=job", "order", False)],
)
def test_a_selector_tells_which_entity_types_it_could_receive(
    query: str, entity_type: str, expected: bool
) -> None:
    assert select(query).may_receive(entity_type) is expected


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", {EVERYTHING}),
        ("types=a", {EVERYTHING}),
        ("filter=n%3Dgt.1", {EVERYTHING}),
        ("entity=order", {type_key("order")}),
        ("entity=order:1,job:2", {entity_key("order", "1"), entity_key("job", "2")}),
        ("entity=order:1,job", {entity_key("order", "1"), type_key("job")}),
        ("entity=order:1&filter=n%3Deq.1", {entity_key("order", "1")}),
        ("entity=order&filter=n%3Deq.1", {("member", ("n",), "number", 1)}),
        ("filter=n%3Dgt.1,m%3Deq.a", {("member", ("m",), "str", "a")}),
        ("filter=a.b%3Din.(1,x)", {("member", ("a", "b"), "number", 1), ("member", ("a", "b"), "str", "x")}),
        ("filter=n%3Dis.true", {("member", ("n",), "bool", True)}),
        ("filter=n%3Dis.null", {EVERYTHING}),
    ],
)
def test_a_selector_is_filed_under_its_most_selective_kind_alone(query: str, keys: set[object]) -> None:
    assert set(select(query).index_keys()) == keys


def test_a_selection_of_as_many_numbers_as_it_may_have_counts_them_once() -> None:
    many = ",".join(str(number) for number in range(MAX_VALUES))
    selector = parse_selector(MultiDict({"filter": f"customer=in.({many})"}), {}, {"customer"})
    assert ("member", ("customer",), "str", "7") in selector.index_keys()
    assert ("member", ("customer",), "number", 7) in selector.index_keys()


def test_the_ids_that_are_asked_for_of_a_type() -> None:
    selector = Selector(frozenset({("order", "2"), ("order", "1"), ("job", None), ("job", "7")}))
    assert selector.ids_of("order") == ["1", "2"]
    assert selector.ids_of("job") is None
    assert selector.ids_of("bill") is None


def test_a_selection_that_is_narrowed_to_all_of_its_types_is_the_same_object() -> None:
    selector = select("entity=order:1,job:2&types=a")
    assert selector.narrowed(frozenset({"order", "job", "bill"})) is selector
    assert selector.narrowed(frozenset()) is selector
    assert Selector().narrowed(frozenset()).narrowed(frozenset()) == Selector()


def test_a_selection_is_narrowed_to_what_of_it_is_about_certain_types() -> None:
    selector = replace(select("entity=order:1,job:2&types=a"), withheld=frozenset({"job"}))
    assert selector.narrowed(frozenset({"job", "bill"})) == select("entity=job:2&types=a")
    assert selector.narrowed(frozenset({"order", "job"})) == select("entity=order:1,job:2&types=a")
    assert selector.narrowed(frozenset()) == select("entity=order:1,job:2&types=a")
    assert select("types=a").narrowed(frozenset({"job"})) == select("entity=job&types=a")


def test_what_a_selection_does_not_ask_for_takes_no_memory_of_its_own() -> None:
    one, other = select("entity=order:1"), replace(select("entity=job"), withheld=frozenset([]))
    assert one.event_types is other.event_types is one.withheld is other.withheld is select("").entities
