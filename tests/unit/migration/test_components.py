"""Plans: what the flags make of a selection. What it looks like from outside has tests of its own."""

from typing import Any

import pytest
from multidict import MultiDict

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from gateway.core.selectors import MAX_VALUES, Selector, parse_selector
from gateway.migration.components import Asked, Components, Plan
from gateway.migration.stream_plan import StreamPlans
from tests.support.effort import kept_bytes_of
from tests.support.flags import make_flag

OWNED = {
    "orders": frozenset({"order"}),
    "billing": frozenset({"invoice", "order"}),
    "jobs": frozenset({"job"}),
}


def plan(query: list[tuple[str, str]], named: tuple[str, ...] = (), **stages: str) -> Plan:
    """The plan of a caller without a name; `stages` are those of the components that have a flag."""
    flags = Flags({name: make_flag(component=name, stage=stage) for name, stage in stages.items()})
    components = Components(OWNED, lambda: flags)
    return components.plan(Asked(parse_selector(MultiDict(query), {}), named, Caller()))


def test_without_flags_the_selector_stays_the_very_same() -> None:
    asked = Asked(Selector(), (), Caller())
    found = Components(OWNED, Flags).plan(asked)

    assert found.selector is asked.selector
    assert found.modes == {"billing": "streaming", "jobs": "streaming", "orders": "streaming"}
    assert not found.is_polling


def test_a_type_is_withheld_when_all_of_its_components_poll() -> None:
    assert plan([], orders="off").selector.withheld == frozenset()
    assert plan([], orders="off", billing="off").selector.withheld == {"order", "invoice"}


def test_whoever_names_a_component_gets_no_type_of_others() -> None:
    assert plan([], ("orders",)).selector.withheld == {"invoice", "job"}


def test_only_what_could_be_received_is_withheld() -> None:
    assert plan([("entity", "job:1")], jobs="off").selector.withheld == {"job"}
    assert plan([("entity", "job:1")], orders="off", billing="off").selector.withheld == frozenset()


@pytest.mark.parametrize(
    ("query", "named", "stages", "polls"),
    [
        ([], (), {"orders": "off"}, False),
        ([], (), {"orders": "off", "billing": "off", "jobs": "off"}, True),
        ([("entity", "job")], (), {"jobs": "off"}, True),
        ([("entity", "job"), ("entity", "note")], (), {"jobs": "off"}, False),
        ([("entity", "job"), ("entity", "note")], ("jobs",), {"jobs": "off"}, True),
        ([("entity", "note")], (), {"jobs": "off"}, False),
        ([], ("jobs", "orders"), {"jobs": "off"}, False),
        ([], ("unknown",), {"jobs": "off"}, False),
    ],
)
def test_a_caller_polls_when_nothing_is_left_that_it_asked_for(
    query: list[tuple[str, str]], named: tuple[str, ...], stages: dict[str, Any], polls: bool
) -> None:
    assert plan(query, named, **stages).is_polling is polls


def test_a_poll_is_over_when_all_its_components_are_complete() -> None:
    assert plan([("entity", "job")], jobs="complete").is_retired
    assert plan([], ("jobs",), jobs="complete").is_retired
    assert not plan([], ("jobs", "orders"), jobs="complete").is_retired
    assert not plan([("entity", "note")], jobs="complete").is_retired


def test_the_shortest_interval_counts() -> None:
    flags = Flags(
        {
            "orders": make_flag(component="orders", pollIntervalMs=9000),
            "jobs": make_flag(component="jobs", pollIntervalMs=700),
        }
    )
    components = Components(OWNED, lambda: flags)

    assert components.plan(Asked(Selector(), (), Caller())).poll_interval_ms == 700
    assert components.plan(Asked(Selector(), ("billing",), Caller())).poll_interval_ms == 5000


def test_what_is_kept_for_callers_is_bounded_also_where_their_selections_are_large() -> None:
    flags = Flags()
    components = Components(OWNED, lambda: flags)
    stream_plans = StreamPlans(components, lambda caller: caller)

    def ask() -> None:
        for number in range(150):
            operands = ",".join(f"{number}-{operand}" for operand in range(MAX_VALUES - 1))
            selector = parse_selector(MultiDict({"filter": f"n=in.({operands})"}), {})
            stream_plans.footing(Asked(selector, ("orders",), Caller()))

    # One of these selections takes a hundred kilobytes.
    assert kept_bytes_of(ask) < 9_000_000


def test_plans_are_bounded_also_where_callers_of_many_selections_are_told_apart() -> None:
    owned = {f"c{number}": frozenset({f"type{number}"}) for number in range(80)}
    flags = Flags(
        {name: make_flag(component=name, stage="live", percentage=50, stickiness="client") for name in owned}
    )
    components = Components(owned, lambda: flags)

    def ask() -> None:
        for number in range(2000):
            selector = parse_selector(MultiDict({"filter": f"n=eq.{number // 100}"}), {})
            components.plan(Asked(selector, (), Caller(client=f"client-{number}")))

    # One of these plans takes ten kilobytes, and the room of ten.
    assert kept_bytes_of(ask) < 12_000_000


def test_ordinary_selections_are_kept_by_the_thousand() -> None:
    flags = Flags()
    components = Components(OWNED, lambda: flags)
    asked = [
        Asked(parse_selector(MultiDict({"entity": f"order:{number}"}), {}), (), Caller())
        for number in range(4000)
    ]
    plans = [components.plan(one) for one in asked]
    assert all(components.plan(one) is plan for one, plan in zip(asked, plans, strict=True))


def test_a_plan_for_one_selection_takes_no_more_than_it_says() -> None:
    components = Components(OWNED, Flags)
    asked = [
        Asked(parse_selector(MultiDict({"entity": f"order:{number}"}), {}), (), Caller())
        for number in range(1000)
    ]
    plans: list[Plan] = []
    assert kept_bytes_of(lambda: plans.extend(map(components.plan, asked))) < 2_000_000


def test_a_session_is_lacking_where_a_component_of_the_selection_is_placed_by_one() -> None:
    half = {"stage": "live", "percentage": 50}
    flags = Flags({"jobs": make_flag(component="jobs", **half)})
    components = Components(OWNED, lambda: flags, without_source={"billing"})
    nobody = Caller()

    def lacks(*query: tuple[str, str], named: tuple[str, ...] = (), caller: Caller = nobody) -> bool:
        return components.lacks_session(parse_selector(MultiDict(query), {}), named, caller)

    assert lacks()
    assert lacks(("entity", "job:1"))
    assert lacks(named=("jobs",))
    assert not lacks(("entity", "order"))
    assert not lacks(named=("orders",))
    assert not lacks(caller=Caller(client="c"))

    flags = Flags(
        {
            "jobs": make_flag(component="jobs", stage="live", percentage=100),
            "orders": make_flag(component="orders", stickiness="session", **half),
            "billing": make_flag(component="billing", **half),
        }
    )
    assert not lacks(named=("jobs",))
    assert lacks(named=("jobs", "orders"), caller=Caller(client="c"))
    assert not lacks(named=("orders",), caller=Caller(client="c", preference="polling"))
    assert not lacks(named=("billing",))
