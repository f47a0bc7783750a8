"""The sentence that says why a caller gets what it gets."""

from types import MappingProxyType

import pytest

from flags.decide.caller import Caller
from flags.decide.decision import Reason
from flags.decide.explain import explain
from flags.decide.flag import Flags
from flags.decide.modes import Mode
from tests.support.flags import LATCH, USER, make_flag, rule


def explained(caller=USER, kill_all=False, stale=False, **members):
    flags = {"orders": make_flag(**members)} if members else {}
    return explain(Flags(MappingProxyType(flags), kill_all, stale), "orders", caller)


@pytest.mark.parametrize(
    ("members", "caller", "why"),
    [
        ({}, USER, "The component has no flag: it streams and polls freely."),
        ({"stage": "shadow"}, USER, "In the stage shadow this is what everybody gets."),
        ({"killed": True}, USER, "The component's kill switch is on."),
        (
            {"latch": LATCH},
            USER,
            "The guard took the component back at 2024-11-20T10:30:00.123Z: mismatches. "
            "It holds until somebody re-arms it.",
        ),
        ({"stage": "live"}, Caller(user="u", capable=False), "The client can't take a stream."),
        (
            {
                "stage": "live",
                "targeting": [rule("user", "eq", "x", "streaming"), rule("user", "in", ["u42"], "streaming")],
            },
            USER,
            "Rule 2 of the targeting matches: user in u42.",
        ),
        (
            {"stage": "live"},
            Caller(user="u", preference="streaming"),
            "The caller chose streaming for itself.",
        ),
        (
            {"stage": "live", "percentage": 50},
            Caller(),
            "The caller has nothing to be bucketed by (stickiness default).",
        ),
        ({"stage": "live"}, Caller(), "None of the callers stream (0 %)."),
        ({"stage": "live", "percentage": 100}, USER, "All of the callers stream (100 %)."),
    ],
)
def test_each_cause_has_its_sentence(members, caller, why):
    assert explained(caller, **members).why == why


def test_a_latch_whose_reason_is_a_sentence_has_one_full_stop():
    why = explained(stage="live", latch=LATCH | {"reason": "errorRate is 9 %, above 5 %."}).why
    assert "above 5 %. It holds" in why


@pytest.mark.parametrize(("percentage", "side"), [(5, "not below 5000"), (50, "below 50000")])
def test_a_split_is_explained_by_the_bucket(percentage, side):
    explanation = explained(stage="live", percentage=percentage)
    assert (explanation.key, explanation.key_from) == ("u42", "user")
    assert explanation.why == (
        f"Its bucket {explanation.bucket} is {side}: {percentage} % of the callers stream. "
        "Its key is its user id."
    )


def test_the_kill_switch_for_everything_comes_before_all():
    explanation = explained(kill_all=True, stage="complete")
    assert explanation.why == "The kill switch for everything is on."
    assert explanation.decision.mode is Mode.POLLING


def test_stale_flags_are_said_to_be_stale_beside_the_reason():
    explanation = explained(stale=True, stage="rampdown")
    assert explanation.decision.reason is Reason.STALE
    assert explanation.why.startswith("In the stage rampdown")
    assert explanation.why.endswith("these are the last good flags.")


@pytest.mark.parametrize(
    ("caller", "stickiness", "words"),
    [
        (Caller(session="s", client="c"), "default", "session"),
        (Caller(client="c"), "default", "client id"),
        (Caller(user="u", tenant="t"), "tenant", "tenant"),
        (Caller(claims=(("plan", ("gold",)),)), "claim:plan", "claim:plan"),
    ],
)
def test_a_split_says_what_the_key_is(caller, stickiness, words):
    why = explained(caller, stage="live", percentage=50, stickiness=stickiness).why
    assert why.endswith(f"Its key is its {words}.")


@pytest.mark.parametrize(
    ("stickiness", "gives_sessions", "says_so"),
    [("default", True, True), ("default", False, False), ("client", True, False)],
)
def test_who_lacks_a_key_is_said_to_get_a_session_where_it_does(stickiness, gives_sessions, says_so):
    flags = Flags({"orders": make_flag(stage="live", percentage=50, stickiness=stickiness)})
    why = explain(flags, "orders", Caller(), gives_sessions=gives_sessions).why
    assert why.endswith("if its client keeps cookies.") is says_so
