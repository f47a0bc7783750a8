"""gateway/commands/flags_view.py: what a terminal shows of a flag's history."""

from gateway.commands.flags_view import history_lines

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
    assert history_lines({"heldFrom": 1, "revisions": [revision]})[0].startswith("REVISION")


def test_the_latch_is_named_and_not_spelt_out() -> None:
    assert what({"latch": None}, {"latch": LATCH}) == "latched"
    assert what({"latch": LATCH}, {"latch": None}) == "re-armed"


def test_other_members_are_shown_before_and_after() -> None:
    assert what({"percentage": 25, "stage": "live"}, {"percentage": 50, "stage": "rampdown"}) == (
        "percentage 25 → 50, stage live → rampdown"
    )
