"""gateway/cli/flags_view.py: what a terminal shows of flags and of what is found out about them."""

import pytest

from gateway.cli.flags_view import (
    changed_lines,
    history_lines,
    keyless_lines,
    list_lines,
    parity_lines,
    poller_lines,
    switched_lines,
)

LATCH = {"metric": "consistency", "value": 0.5, "threshold": 0.99, "reason": "too low"}


def what(before: dict[str, object], after: dict[str, object]) -> str:
    revision = {"revision": 2, "when": "now", "who": "guard", "why": "so", "before": before, "after": after}
    words = history_lines({"revisions": [revision]})[1].split("  ")
    return [word for word in words if word][3]


def test_a_history_says_from_which_revision_on_it_knows() -> None:
    revision = {"revision": 9, "before": {"percentage": 5}, "after": {"percentage": 7}}

    assert history_lines({"heldFrom": 9, "revisions": [revision]})[0] == (
        "revisions before 9 are not held any more"
    )
    first = {**revision, "revision": 1}
    assert history_lines({"heldFrom": 1, "revisions": [first]})[0].startswith("REVISION")


def test_a_history_says_that_there_is_more_than_it_shows() -> None:
    revision = {"revision": 9, "before": {"percentage": 5}, "after": {"percentage": 7}}

    assert history_lines({"heldFrom": 2, "revisions": [revision]})[:2] == [
        "revisions before 2 are not held any more",
        "the first that is shown is 9: --limit 100 shows all that are held",
    ]


def test_the_latch_is_named_and_not_spelt_out() -> None:
    assert what({"latch": None}, {"latch": LATCH}) == "latched"
    assert what({"latch": LATCH}, {"latch": None}) == "re-armed"


def test_other_members_are_shown_before_and_after() -> None:
    assert what({"percentage": 25, "stage": "live"}, {"percentage": 50, "stage": "rampdown"}) == (
        "percentage 25 → 50, stage live → rampdown"
    )


def test_of_an_object_the_members_that_changed_are_shown_on_one_line() -> None:
    before = {"dryRun": True, "minSamples": 100, "consistency": {"promote": 0.999, "fail": 0.99}}
    after = {"dryRun": False, "minSamples": 100, "consistency": {"promote": 0.999, "fail": 0.95}}

    assert what({"guard": before}, {"guard": after}) == (
        "guard.dryRun true → false, guard.consistency.fail 0.99 → 0.95"
    )


def test_a_long_value_is_counted_and_not_spelt_out() -> None:
    rules = [{"attribute": "tenant", "operator": "in", "values": ["a" * 100], "mode": "streaming"}] * 2
    assert what({"targeting": []}, {"targeting": rules}) == "targeting [] → (2 members)"


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"guard": {"dryRun": True}}, "dry run"),
        ({"guard": {"dryRun": False}}, "armed"),
        ({"guard": {"dryRun": False}, "killed": True, "latch": LATCH}, "killed and latched"),
        ({}, "-"),
    ],
)
def test_a_flag_says_what_its_guard_may_do(members: dict[str, object], state: str) -> None:
    flag = {"component": "orders", "revision": 1, "stage": "live", "percentage": 5}
    assert changed_lines({**flag, **members}) == [f"orders is at revision 1: live, 5 %, {state}"]


def test_parity_says_why_something_could_not_be_compared() -> None:
    answer = {
        "component": "orders",
        "samples": 1,
        "dropped": 0,
        "pending": 1,
        "standing": 0,
        "outcomes": {"match": 3, "incomparable": 5},
        "incomparable": {"no base": 1, "in motion": 4, "restarted": 0},
    }
    lines = parity_lines(answer)
    assert "1 answer compared, 0 dropped; 1 difference pending, 0 standing" in lines
    head = next(number for number, line in enumerate(lines) if line.startswith("INCOMPARABLE"))
    in_motion, no_base = lines[head + 1 : head + 3]
    assert in_motion.split("  ")[0] == "in motion"
    assert in_motion.endswith(
        "4      Every difference was overtaken by a further change before it was settled."
    )
    assert no_base.startswith("no base")
    assert not any(line.startswith("restarted") for line in lines)


def test_who_polls_is_rounded_for_people() -> None:
    poller = {"client": "app/1", "polls": 7, "perSecond": 0.4999, "lastSeenSeconds": 1.234}
    lines = poller_lines({"pollers": [poller], "polls": 1, "upstreamRequests": 1})
    assert lines[1].split() == ["app/1", "7", "0.5", "1", "s", "ago"]
    assert lines[2].startswith("1 poll, 1 request to the upstream")


def test_whose_figures_they_are_is_said_where_others_have_some() -> None:
    alone = {"node": "a", "worker": None, "workers": 1, "sharesLog": False}
    assert poller_lines({"answeredBy": alone}) == poller_lines({})

    for lines in (poller_lines, parity_lines):
        *_, worker, node = lines({"answeredBy": {"node": "a", "worker": 2, "workers": 4, "sharesLog": True}})
        assert worker.startswith("these are the figures of worker 2 of 4 alone")
        assert node.endswith("this is a")


def test_a_kill_that_the_store_did_not_take_is_said_to_be_local() -> None:
    flag = {"component": "orders", "revision": 1, "stage": "live", "percentage": 5, "killed": True}
    local = "killed on this node alone: the flags' store did not take it, and gets it once it does"
    missed = "not told, for they did not answer: workers 2, 3; say it again"
    here = {"local": True, "missedWorkers": [2, 3]}

    assert changed_lines({**flag, **here})[:-1] == [local, missed]
    assert switched_lines({"killAll": True, **here})[:-1] == [local, missed]
    assert len(changed_lines({**flag, "local": False, "missedWorkers": []})) == 1
    assert list_lines({"heldHere": {"killAll": True, "components": ["orders"]}})[0] == (
        "killed on this node alone, until the flags' store takes it: everything, orders"
    )


KEYS = {"minutes": 5, "with": 20, "without": 100, "sessionCookie": True}
HALF = {"stage": "live", "percentage": 50, "stickiness": "default"}


def test_most_callers_without_a_key_are_warned_of() -> None:
    (line,) = keyless_lines(HALF, {"keys": KEYS})
    assert line.startswith(
        "100 of the 120 requests of the last 5 minutes came without a key (stickiness default): browsers get"
    )
    for flag, keys in ((HALF, {"sessionCookie": False}), (HALF | {"stickiness": "tenant"}, {})):
        (line,) = keyless_lines(flag, {"keys": KEYS | keys})
        assert line.endswith("these callers poll below 100 %")


@pytest.mark.parametrize(
    ("flag", "keys"),
    [
        ({"percentage": 0}, {}),
        ({"percentage": 100}, {}),
        ({"stage": "shadow"}, {}),
        ({}, {"with": 100}),
        ({}, {"with": 0, "without": 0}),
        ({}, {"with": None, "without": "many"}),
        ({"percentage": None}, {}),
    ],
)
def test_nobody_is_warned_where_a_percentage_can_place_callers(
    flag: dict[str, object], keys: dict[str, object]
) -> None:
    assert keyless_lines(HALF | flag, {"keys": KEYS | keys}) == []
    assert keyless_lines(HALF, {}) == []
