"""Evidence adds up over windows, and a caller stays one caller."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.guard.callers import CALLERS_AN_ADDRESS, SAMPLED, Side, number_of
from flags.guard.confidence import Arm
from flags.guard.evidence import Evidence
from flags.guard.known_callers import KnownCallers, packed
from flags.guard.marks import Marks
from flags.guard.metrics import Metric
from flags.guard.tally import Freshness, Tally
from flags.guard.windows import SLOTS

GOOD, BAD = Marks(0, seen=0, began=0), Marks(0, seen=0, failed=3, began=0)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def tally_of(treated: dict[str, Marks], control: dict[str, Marks] | None = None) -> Tally:
    tally = Tally()
    tally.callers[Side.TREATED] = {number_of(name): marks for name, marks in treated.items()}
    tally.callers[Side.CONTROL] = {number_of(name): marks for name, marks in (control or {}).items()}
    return tally


def wire_of(windows: int, bad: int) -> str:
    return packed([KnownCallers({1: (windows, bad)}), KnownCallers(), KnownCallers()])


def errors(evidence: Evidence) -> tuple[Arm, Arm]:
    return evidence.arms(Tally(), 0)[Metric.ERROR_RATE]


def test_callers_of_several_windows_add_up() -> None:
    evidence = Evidence()
    for window in range(3):
        evidence = evidence.with_window(tally_of({f"s:{window} {number}": GOOD for number in range(10)}))

    assert evidence.windows == 3
    assert errors(evidence)[0] == Arm(0.0, 30.0)


def test_a_caller_that_fares_badly_in_sixty_windows_is_one_bad_caller() -> None:
    evidence = Evidence()
    for _ in range(60):
        evidence = evidence.with_window(tally_of({"s:ada": BAD, "s:bob": GOOD}))

    treated, _ = errors(evidence)
    assert treated.values == 2
    assert treated.bad == pytest.approx(1.0)


def test_one_that_fares_badly_in_every_other_window_is_half_a_bad_caller() -> None:
    evidence = Evidence()
    for window in range(10):
        evidence = evidence.with_window(tally_of({"s:ada": BAD if window % 2 else GOOD}))

    treated, _ = errors(evidence)
    assert treated.values == 1
    assert treated.bad == pytest.approx(0.5)


def test_who_fell_back_for_good_weighs_as_much_as_whose_stream_goes_on_for_hours() -> None:
    stays = {f"s:{number}": Marks(0, seen=0, began=0) for number in range(90)}
    leaves = {f"s:{number}": Marks(0, seen=0, fell_back=3) for number in range(90, 100)}
    gone = {name: Marks(0, seen=0) for name in leaves}
    evidence = Evidence().with_window(tally_of(stays | leaves))
    for _ in range(20):
        evidence = evidence.with_window(tally_of(stays | gone))

    treated, _ = evidence.arms(Tally(), 0)[Metric.FALLBACK_RATE]
    assert treated == Arm(10.0, 100.0)


def test_who_stays_long_weighs_no_more_than_who_comes_once() -> None:
    evidence = Evidence().with_window(tally_of({f"s:{number}": GOOD for number in range(1000)}))
    for _ in range(100):
        evidence = evidence.with_window(tally_of({"s:ada": BAD, "s:bob": BAD}))

    assert errors(evidence)[0] == Arm(2.0, 1002.0)


def test_an_address_counts_for_as_many_callers_in_all_windows_as_in_one() -> None:
    evidence = Evidence()
    for window in range(20):
        made_up = {f"k:{window} {number}": Marks(7, seen=0, failed=3) for number in range(25)}
        others = {f"k:{window} {number} elsewhere": Marks(8, seen=0) for number in range(1)}
        evidence = evidence.with_window(tally_of(made_up, others))

    treated, control = errors(evidence)
    assert (treated.values, control.values) == (CALLERS_AN_ADDRESS, 20)
    more = tally_of({f"k:more {number}": Marks(7, seen=0, failed=3) for number in range(25)})
    assert evidence.arms(more, SLOTS)[Metric.ERROR_RATE][0] == treated


def test_a_spell_that_is_over_counts_once_its_window_is_for_it_may_come_again() -> None:
    spell = {f"s:{number}": Marks(0, seen=0, failed=20) for number in range(10)}

    assert Evidence().arms(tally_of(spell), SLOTS)[Metric.ERROR_RATE][0] == Arm(0.0, 10.0)
    assert errors(Evidence().with_window(tally_of(spell)))[0] == Arm(10.0, 10.0)


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.booleans(), min_size=1), min_size=1, max_size=9)
)
def test_each_caller_is_the_share_of_its_windows_that_went_badly(windows: list[dict[str, bool]]) -> None:
    evidence, last = Evidence(), {}
    for fared in windows:
        evidence = evidence.with_window(
            tally_of(last := {f"s:{one}": BAD if fared[one] else GOOD for one in fared})
        )
    means = [
        sum(bads) / len(bads)
        for name in {name for fared in windows for name in fared}
        if (bads := [fared[name] for fared in windows if name in fared])
    ]

    treated, _ = errors(evidence)
    assert treated.values == len(means)
    assert treated.bad == pytest.approx(sum(means))
    # One more window that goes on is to come to the same as one that is over.
    going_on = evidence.arms(tally_of(last), SLOTS)[Metric.ERROR_RATE][0]
    assert going_on.bad == pytest.approx(errors(evidence.with_window(tally_of(last)))[0].bad)


def test_the_window_that_goes_on_counts_for_the_slots_that_are_asked_for() -> None:
    tally = tally_of({"s:ada": Marks(0, seen=0, failed=3, began=0)})

    late = Evidence().arms(tally, 2)[Metric.ERROR_RATE][0]
    whole = Evidence().arms(tally, SLOTS)[Metric.ERROR_RATE][0]

    assert (late, whole) == (Arm(0.0, 1.0), Arm(1.0, 1.0))


def test_adding_a_window_changes_no_evidence_that_was_there() -> None:
    before = Evidence().with_window(tally_of({"s:ada": BAD}))
    wire = json.dumps(before.wire())

    before.with_window(tally_of({"s:bob": GOOD}))
    before.arms(tally_of({"s:bob": GOOD}), SLOTS)

    assert json.dumps(before.wire()) == wire


def test_changes_that_are_seen_late_count_by_slots_of_time() -> None:
    tally = Tally(freshness={0: Freshness(5, 10, 0, 100), 1: Freshness(0, 2, 50, 100), 7: Freshness(1, 1)})

    treated, control = Evidence().arms(tally, 2)[Metric.PUSH_LAG]

    assert treated == Arm(0.5, 2.0)
    assert control == Arm(0.5, 2.0)


def test_with_a_hundred_thousand_callers_over_many_windows_it_is_bounded_and_the_share_stays() -> None:
    evidence = Evidence()
    for window in range(30):
        callers = {
            f"s:{window} {number}": BAD if number % 10 == 0 else GOOD for number in range(SAMPLED * 4 // 5)
        }
        evidence = evidence.with_window(tally_of(callers))

    treated, _ = errors(evidence)
    assert treated.values <= 2 * SAMPLED
    assert treated.share == pytest.approx(0.1, abs=0.02)


def test_a_sample_that_has_become_smaller_keeps_what_was_found() -> None:
    evidence = Evidence().with_window(tally_of({f"s:{number}": GOOD for number in range(1000)}))
    fewer = tally_of({})
    fewer.levels[Side.TREATED] = 2

    treated, _ = errors(evidence.with_window(fewer))

    assert 200 < treated.values < 300


def test_evidence_survives_the_wire() -> None:
    evidence = Evidence().with_window(
        tally_of({"s:ada": BAD, "s:bob": GOOD}, {f"s:{number}": GOOD for number in range(9)})
    )

    again = Evidence.of(json.loads(json.dumps(evidence.wire())))

    assert again == evidence


@pytest.mark.parametrize(
    "change",
    [
        {"windows": -1},
        {"windows": 10**9},
        {"windows": None},
        {"windows": float("inf")},
        {"late": {}},
        {"late": {"TREATED": [1, 2]}},
        {"callers": None},
        {"callers": {"TREATED": "xyz"}},
        {"callers": {"TREATED": wire_of(3, 4)}},
        {"callers": {"TREATED": wire_of(1, 0)[4:]}},
        {"tags": [[1, -1]]},
        {"tags": [[1, 2, 3]]},
        {"tags": None},
        {"tags": [[number, 1] for number in range(100_000)]},
        {"levels": {"TREATED": "many"}},
        {"levels": {"TREATED": -1, "CONTROL": 0}},
        {"levels": {"TREATED": 10**9, "CONTROL": 0}},
    ],
)
def test_what_is_no_evidence_is_refused(change: dict[str, Any]) -> None:
    wire = Evidence().wire()
    for name, value in change.items():
        wire[name] = wire[name] | value if isinstance(value, dict) and value else value

    with pytest.raises(ValueError, match=r".+"):
        Evidence.of(wire)


def test_more_callers_than_it_keeps_are_refused() -> None:
    wire = Evidence().wire()
    known = KnownCallers(dict.fromkeys(range(20_000), (1, 0)))
    wire["callers"]["TREATED"] = packed([known, known, known])

    with pytest.raises(ValueError, match=r".+"):
        Evidence.of(wire)


@given(JSON)
def test_any_json_is_evidence_or_a_value_error(given: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Evidence.of(given)


@given(st.sampled_from(["windows", "late", "callers", "levels", "tags"]), JSON)
def test_evidence_with_a_member_of_any_json_is_some_or_a_value_error(member: str, value: Any) -> None:
    wire = Evidence().wire() | {member: value}
    try:
        evidence = Evidence.of(wire)
    except ValueError:
        return
    evidence.with_window(Tally())
