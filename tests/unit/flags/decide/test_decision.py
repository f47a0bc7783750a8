"""Who polls and who streams: the protocol's precedence, over every combination of what can be."""

import itertools
from typing import Any, NamedTuple

import pytest

from flags.decide.caller import Caller, comparable_claims
from flags.decide.decision import BY_PERCENTAGE, Cause, Decision, Reason, decide, is_retired, lacks_session
from flags.decide.modes import Mode
from flags.decide.stages import Stage
from tests.support.flags import LATCH, USER, make_flag, rule

POLLING, STREAMING = Mode.POLLING, Mode.STREAMING
ORDER = list(Stage)


class Case(NamedTuple):
    """One combination of everything that a decision depends on."""

    stage: str
    kill_all: bool
    killed: bool
    latched: bool
    capable: bool
    targeted: str | None
    preference: str
    percentage: int
    key: str | None


CASES = [
    Case(*values)
    for values in itertools.product(
        [stage.value for stage in Stage],
        [False, True],
        [False, True],
        [False, True],
        [True, False],
        [None, "polling", "streaming"],
        ["auto", "polling", "streaming"],
        [0, 50, 100],
        [None, "u42"],
    )
]


def decided(case: Case) -> Decision:
    flag = make_flag(
        stage=case.stage,
        killed=case.killed,
        latch=LATCH if case.latched else None,
        targeting=[rule("tenant", "eq", "acme", case.targeted)] if case.targeted else [],
        percentage=case.percentage,
    )
    caller = Caller(user=case.key, tenant="acme", capable=case.capable, preference=case.preference)
    return decide(flag, caller, kill_all=case.kill_all)


def expected(case: Case) -> tuple[str, str, str | None]:
    """Section 8 of the protocol, read from top to bottom."""
    before_live = case.stage in ("off", "shadow")
    from_rampdown = case.stage in ("rampdown", "complete")
    if case.kill_all or case.killed:
        return "polling", "DISABLED", "kill_switch"
    if case.latched:
        return "polling", "DISABLED", "auto_rollback"
    if not case.capable:
        return "polling", "TARGETING_MATCH", "client_incapable"
    if case.targeted == "streaming" and not before_live:
        return "streaming", "TARGETING_MATCH", None
    if case.targeted == "polling" and case.stage != "complete":
        return "polling", "TARGETING_MATCH", None
    if case.preference == "polling" and not from_rampdown:
        return "polling", "TARGETING_MATCH", "user_opt_out"
    if case.preference == "streaming" and not before_live:
        return "streaming", "TARGETING_MATCH", "user_opt_in"
    if case.stage == "live":
        if case.percentage == 50 and case.key is None:
            return "polling", "ERROR", "TARGETING_KEY_MISSING"
        # u42 is in the lower half of its group.
        return ("streaming" if case.percentage else "polling"), "SPLIT", None
    return ("polling" if before_live else "streaming"), "DEFAULT", None


def test_every_combination_is_decided_as_the_protocol_says() -> None:
    differing = [
        (case, decision)
        for case in CASES
        if (decision := decided(case))[0::2] != expected(case)[:2] or decision.cause != expected(case)[2]
    ]

    assert len(CASES) == 4320
    assert differing == []


def test_a_decision_names_its_stage() -> None:
    assert {decided(case).stage == case.stage for case in CASES} == {True}


@pytest.mark.parametrize("stage", ["off", "shadow"])
def test_nothing_makes_anybody_stream_before_live(stage: str) -> None:
    assert {decided(case).mode for case in CASES if case.stage == stage} == {POLLING}


def test_nobody_who_can_stream_is_left_polling_once_complete() -> None:
    stopped = (case for case in CASES if case.stage == "complete")

    assert {
        decided(case).mode
        for case in stopped
        if case.capable and not (case.kill_all or case.killed or case.latched)
    } == {STREAMING}


def test_a_component_without_a_flag_streams_freely() -> None:
    assert decide(None, Caller(), kill_all=False) == (STREAMING, None, Reason.STATIC, None)


def test_the_switch_for_everything_stops_a_component_without_a_flag_too() -> None:
    assert decide(None, Caller(), kill_all=True) == (POLLING, None, Reason.DISABLED, Cause.KILL_SWITCH)


def test_a_component_without_a_source_is_polled_unless_a_switch_says_so_already() -> None:
    for case in CASES:
        flag = make_flag(stage=case.stage, killed=case.killed, latch=LATCH if case.latched else None)
        decision = decide(flag, USER, kill_all=case.kill_all, has_source=False)
        assert decision.mode is POLLING
        if not (case.kill_all or case.killed or case.latched):
            assert decision[1:] == (Stage(case.stage), Reason.STATIC, Cause.NO_SOURCE)
    assert decide(None, USER, kill_all=False, has_source=False) == (
        POLLING,
        None,
        Reason.STATIC,
        Cause.NO_SOURCE,
    )


def test_the_first_rule_that_matches_counts() -> None:
    flag = make_flag(
        stage="live",
        targeting=[
            rule("claim:roles", "eq", "qa", "streaming"),
            rule("tenant", "eq", "acme", "polling"),
            rule("user", "startsWith", "u", "streaming"),
        ],
    )

    def mode(**members: Any) -> Mode:
        return decide(flag, Caller(**members), kill_all=False).mode

    assert mode(user="u1", tenant="acme", claims=comparable_claims({"roles": ["qa"]})) is STREAMING
    assert mode(user="u1", tenant="acme") is POLLING
    assert mode(user="u1", tenant="globex") is STREAMING
    assert mode(user="x", tenant="globex") is POLLING


def test_a_first_rule_that_its_stage_does_not_allow_is_not_passed_over_for_a_later_one() -> None:
    rules = [rule("user", "eq", "u42", "streaming"), rule("user", "startsWith", "u", "polling")]

    assert decide(make_flag(stage="shadow", targeting=rules), USER, kill_all=False).reason is Reason.DEFAULT


@pytest.mark.parametrize("stickiness", ["user", "session", "client", "tenant", "claim:org"])
def test_a_caller_without_the_key_of_its_bucket_polls_between_0_and_100_percent(stickiness: str) -> None:
    flag = make_flag(stage="live", percentage=99.999, stickiness=stickiness)

    assert decide(flag, Caller(), kill_all=False) == (
        POLLING,
        Stage.LIVE,
        Reason.ERROR,
        Cause.TARGETING_KEY_MISSING,
    )


def test_the_bucket_follows_the_stickiness() -> None:
    flag = make_flag(stage="live", percentage=100, stickiness="claim:org")
    caller = Caller(claims=comparable_claims({"org": "acme"}))

    assert decide(flag, caller, kill_all=False) == (STREAMING, Stage.LIVE, Reason.SPLIT, None)


def test_flags_that_are_not_the_newest_say_so_and_keep_the_cause() -> None:
    decision = decide(make_flag(killed=True), USER, kill_all=False, stale=True)

    assert decision == (POLLING, Stage.OFF, Reason.STALE, Cause.KILL_SWITCH)


def test_the_variant_is_on_where_the_caller_streams() -> None:
    assert decide(None, USER, kill_all=False).variant == "on"
    assert decide(None, USER, kill_all=True).variant == "off"


@pytest.mark.parametrize("stage", ORDER)
def test_polling_is_retired_when_complete_unless_everybody_was_sent_back_to_it(stage: Stage) -> None:
    complete = stage is Stage.COMPLETE

    assert is_retired(make_flag(stage=stage), kill_all=False) is complete
    assert not is_retired(make_flag(stage=stage), kill_all=True)
    assert not is_retired(make_flag(stage=stage, killed=True), kill_all=False)
    assert not is_retired(make_flag(stage=stage, latch=LATCH), kill_all=False)
    assert not is_retired(None, kill_all=False)


@pytest.mark.parametrize("stage", ORDER)
def test_a_percentage_counts_where_the_stage_says_so_and_nowhere_else(stage: Stage) -> None:
    nobody, everybody = (
        decide(make_flag(stage=stage, percentage=percentage), USER, kill_all=False) for percentage in (0, 100)
    )

    assert (nobody != everybody) is (stage in BY_PERCENTAGE)


@pytest.mark.parametrize(
    ("members", "caller", "lacks"),
    [
        ({}, Caller(), True),
        ({"stickiness": "session"}, Caller(), True),
        ({"stickiness": "session"}, Caller(user="u", client="c"), True),
        ({}, Caller(user="u"), False),
        ({}, Caller(client="c"), False),
        ({}, Caller(session="s"), False),
        ({"stickiness": "client"}, Caller(), False),
        ({"stickiness": "claim:plan"}, Caller(), False),
        ({"percentage": 0}, Caller(), False),
        ({"percentage": 100}, Caller(), False),
        ({"percentage": 0.001}, Caller(), True),
        ({"stage": "shadow"}, Caller(), False),
        ({"stage": "rampdown"}, Caller(), False),
        ({"killed": True}, Caller(), True),
        ({"stickiness": "session"}, Caller(client="c", preference="polling"), False),
    ],
)
def test_a_session_is_lacking_where_a_percentage_finds_no_key(
    members: dict[str, Any], caller: Caller, lacks: bool
) -> None:
    assert lacks_session(make_flag(**({"stage": "live", "percentage": 50} | members)), caller) is lacks
