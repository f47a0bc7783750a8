"""A flag's JSON: what is written comes back, what is wrong is pointed at."""

from typing import Any

import orjson
import pytest

from flags.decide.flag import Flag, Flags
from flags.decide.stages import Stage
from flags.errors import InvalidFlag
from tests.support.flags import LATCH, make_flag, rule
from tests.support.vectors import TIMES_KEPT, TIMES_REFUSED

WHOLE = {
    "component": "orders",
    "stage": "live",
    "percentage": 12.345,
    "stickiness": "claim:org",
    "group": "checkout",
    "targeting": [
        rule("tenant", "in", ["acme", "globex"], "streaming"),
        rule("clientVersion", "lt", "2.0", "polling"),
    ],
    "killed": True,
    "latch": LATCH,
    "sunset": "2027-01-01T00:00:00.000Z",
    "pollIntervalMs": 2000,
    "checkRatio": 7,
    "guard": {
        "consistency": {"promote": 1, "fail": 0.95},
        "errorRate": {"promote": 0, "fail": 0.5},
        "pushLagP99Ms": {"promote": 250.5, "fail": 900},
        "firstEventSuccess": {"promote": 0.9, "fail": 0.8},
        "fallbackRate": {"promote": 0.1, "fail": 0.2},
        "minSamples": 20,
        "windowSeconds": 60,
        "steps": [0.5, 50, 100],
        "successesToPromote": 2,
        "confidence": 0.99,
        "margins": {
            "errorRate": 0.02,
            "pushLagP99Ms": 1,
            "firstEventSuccess": None,
            "fallbackRate": None,
        },
        "freshMs": 2500,
        "trustTimestamps": True,
        "autoPromote": True,
        "dryRun": False,
    },
    "revision": 9,
}


def errors_of(members: Any) -> dict[str, str]:
    with pytest.raises(InvalidFlag) as caught:
        Flag.parse(members)
    return {error["pointer"]: error["detail"] for error in caught.value.errors}


def bad(**members: Any) -> dict[str, str]:
    return errors_of({"component": "orders", "revision": 1, **members})


def test_a_whole_flag_comes_back_as_it_was_written() -> None:
    flag = Flag.parse(orjson.loads(orjson.dumps(WHOLE)))

    assert flag.wire() == WHOLE
    assert Flag.parse(flag.wire()) == flag


def test_whole_numbers_are_written_without_a_decimal_point() -> None:
    guard = {"steps": [1.0, 2.5], "pushLagP99Ms": {"promote": 1000.0, "fail": 5000.5}}
    flag = make_flag(percentage=5.0, guard=guard, latch={**LATCH, "value": 3.0}).wire()

    written = (
        flag["percentage"],
        flag["guard"]["steps"],
        flag["guard"]["pushLagP99Ms"],
        flag["latch"]["value"],
    )
    assert repr(written) == "(5, [1, 2.5], {'promote': 1000, 'fail': 5000.5}, 3)"


def test_a_flag_has_the_documented_defaults() -> None:
    assert make_flag().wire() == {
        "component": "orders",
        "stage": "off",
        "percentage": 0,
        "stickiness": "default",
        "group": "orders",
        "targeting": [],
        "killed": False,
        "latch": None,
        "sunset": None,
        "pollIntervalMs": 5000,
        "checkRatio": 100,
        "guard": {
            "consistency": {"promote": 0.999, "fail": 0.99},
            "errorRate": {"promote": 0.01, "fail": 0.05},
            "pushLagP99Ms": {"promote": 1000, "fail": 5000},
            "firstEventSuccess": {"promote": 0.99, "fail": 0.95},
            "fallbackRate": {"promote": 0.01, "fail": 0.05},
            "minSamples": 100,
            "windowSeconds": 300,
            "steps": [1, 5, 10, 25, 50, 100],
            "successesToPromote": 3,
            "confidence": 0.95,
            "margins": {
                "errorRate": None,
                "pushLagP99Ms": None,
                "firstEventSuccess": None,
                "fallbackRate": None,
            },
            "freshMs": 1000,
            "trustTimestamps": False,
            "autoPromote": False,
            "dryRun": True,
        },
        "revision": 1,
    }


@pytest.mark.parametrize("percentage", [0, 0.001, 12.345, 33.3, 99.999, 100, 100.0])
def test_a_percentage_has_steps_of_a_thousandth(percentage: float) -> None:
    assert make_flag(percentage=percentage).percentage == percentage


@pytest.mark.parametrize(
    "percentage",
    [-0.001, 100.001, 1.0005, 1e9, float("nan"), float("inf"), True, "25", None, [25], 10**400],
)
def test_a_percentage_out_of_range_or_no_number_is_refused(percentage: Any) -> None:
    assert list(bad(percentage=percentage)) == ["/percentage"]


@pytest.mark.parametrize("component", ["", "a b", "a/b", "ä", "x" * 65, "orders\n", 7, None])
def test_a_component_is_a_name(component: Any) -> None:
    assert list(bad(component=component)) == ["/component"]


@pytest.mark.parametrize("stage", ["beta", "LIVE", "", None, 1])
def test_an_unknown_stage_is_refused(stage: Any) -> None:
    assert list(bad(stage=stage)) == ["/stage"]


@pytest.mark.parametrize("stickiness", ["email", "claim:", "claim", "User", "claim:a\nb", None])
def test_an_unknown_stickiness_is_refused(stickiness: Any) -> None:
    assert list(bad(stickiness=stickiness)) == ["/stickiness"]


@pytest.mark.parametrize(("given", "kept"), TIMES_KEPT)
def test_a_sunset_is_kept_in_utc(given: str, kept: str) -> None:
    assert make_flag(sunset=given).sunset == kept


@pytest.mark.parametrize("sunset", [*TIMES_REFUSED, 1767225600])
def test_a_sunset_that_is_no_time_of_rfc_3339_is_refused(sunset: Any) -> None:
    assert list(bad(sunset=sunset)) == ["/sunset"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (rule("age", "eq", "7", "polling"), "/targeting/0/attribute"),
        (rule("claim:", "eq", "7", "polling"), "/targeting/0/attribute"),
        (rule("user", "like", "7", "polling"), "/targeting/0/operator"),
        (rule("user", "eq", "7", "push"), "/targeting/0/mode"),
        (rule("user", "eq", "", "polling"), "/targeting/0/value"),
        (rule("user", "eq", "a\x00", "polling"), "/targeting/0/value"),
        (rule("user", "eq", "\ud800", "polling"), "/targeting/0/value"),
        (rule("user", "in", [], "polling"), "/targeting/0/values"),
        (rule("user", "in", "a", "polling"), "/targeting/0"),
        (rule("user", "eq", ["a"], "polling"), "/targeting/0"),
        (rule("user", "eq", "a", "polling") | {"values": ["a"]}, "/targeting/0"),
        (rule("user", "gte", "2", "polling"), "/targeting/0"),
        (rule("clientVersion", "gte", "new", "polling"), "/targeting/0"),
        (rule("user", "eq", "a", "polling") | {"note": "x"}, "/targeting/0/note"),
        ("user", "/targeting/0"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(given: Any, place: str) -> None:
    assert list(bad(targeting=[given])) == [place]


@pytest.mark.parametrize(
    ("guard", "place"),
    [
        ({"consistency": {"promote": 0.9, "fail": 0.95}}, "/guard/consistency"),
        ({"firstEventSuccess": {"promote": 0.9}}, "/guard/firstEventSuccess/fail"),
        ({"errorRate": {"promote": 0.2, "fail": 0.1}}, "/guard/errorRate"),
        ({"pushLagP99Ms": {"promote": 200, "fail": 100}}, "/guard/pushLagP99Ms"),
        ({"fallbackRate": {"promote": 0, "fail": 1.5}}, "/guard/fallbackRate/fail"),
        ({"minSamples": 0}, "/guard/minSamples"),
        ({"windowSeconds": 0.5}, "/guard/windowSeconds"),
        ({"steps": [5, 5]}, "/guard/steps"),
        ({"steps": [0, 5]}, "/guard/steps"),
        ({"steps": []}, "/guard/steps"),
        ({"steps": [5, "10"]}, "/guard/steps/1"),
        ({"dryRun": 1}, "/guard/dryRun"),
        ({"latency": {}}, "/guard/latency"),
    ],
)
def test_guard_settings_that_contradict_themselves_are_refused(guard: Any, place: str) -> None:
    assert list(bad(guard=guard)) == [place]


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"pollIntervalMs": 0}, "/pollIntervalMs"),
        ({"checkRatio": 0}, "/checkRatio"),
        ({"killed": "yes"}, "/killed"),
        ({"latch": {"at": "now"}}, "/latch/at"),
        ({"latch": LATCH | {"value": float("inf")}}, "/latch/value"),
        ({"group": "a:b"}, "/group"),
        ({"revision": 0}, "/revision"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"poll_interval_ms": 5000}, "/poll_interval_ms"),
    ],
)
def test_a_bad_member_is_pointed_at(members: dict[str, Any], place: str) -> None:
    assert next(iter(bad(**members))) == place


def test_every_bad_place_is_named_at_once() -> None:
    assert set(bad(stage="beta", percentage=101, checkRatio=0)) == {"/stage", "/percentage", "/checkRatio"}


def test_a_bad_component_is_the_only_error_of_a_flag_whose_group_is_its_own_name() -> None:
    assert list(errors_of({"component": "a b", "revision": 1})) == ["/component"]


@pytest.mark.parametrize("members", [None, [], "orders", 7])
def test_what_is_no_object_is_no_flag(members: Any) -> None:
    assert errors_of(members) == {"": "must be an object"}


def test_a_flag_can_be_asked_for_by_its_component() -> None:
    flag = make_flag(stage="shadow")
    flags = Flags({"orders": flag})

    assert flags.get("orders") is flag
    assert flags.get("invoices") is None
    assert flag.stage is Stage.SHADOW
