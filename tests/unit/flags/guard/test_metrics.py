"""The guard's metrics, and which bad spells are over."""

from flags.decide.guard_settings import GuardSettings
from flags.guard.callers import Side
from flags.guard.marks import NEVER, Marks
from flags.guard.metrics import Metric, figures, outcomes, spell_of
from flags.guard.tally import Tally


def of(*marks: Marks, side: Side = Side.TREATED) -> Tally:
    tally = Tally()
    tally.callers[side] = dict(enumerate(marks))
    tally.settle()
    return tally


def error_rate(tally: Tally) -> tuple[float | None, float | None]:
    found = figures(tally, is_streaming=True, trusts_timestamps=False).by_metric[Metric.ERROR_RATE]
    return found.value, found.without_noise


def test_metrics_are_named_as_their_thresholds_are_on_the_wire() -> None:
    settings = GuardSettings().model_dump(by_alias=True)

    assert {metric.value for metric in Metric} <= settings.keys()


def test_a_spell_that_everybody_has_left_behind_proves_nothing() -> None:
    recovered = [Marks(0, seen=1, failed=20)] * 10
    fine = [Marks(0, seen=1)] * 10

    assert error_rate(of(*recovered, *fine)) == (0.5, 0.0)


def test_a_spell_that_may_go_on_counts() -> None:
    assert error_rate(of(*[Marks(0, seen=1, failed=3)] * 10)) == (1.0, 1.0)


def test_errors_over_the_whole_window_are_no_spell() -> None:
    spread = of(*(Marks(0, seen=1, failed=6 + number * 5) for number in range(10)))

    assert len(spell_of(spread, Metric.ERROR_RATE)) == 0
    assert error_rate(spread) == (1.0, 1.0)


def test_who_fell_back_for_good_has_not_left_it_behind() -> None:
    gone = of(*[Marks(0, seen=20, began=20, fell_back=20)] * 10)
    back = of(*[Marks(0, seen=1, began=1, fell_back=20)] * 10)

    def fallbacks(tally: Tally) -> float | None:
        found = figures(tally, is_streaming=True, trusts_timestamps=False)
        return found.by_metric[Metric.FALLBACK_RATE].without_noise

    assert (fallbacks(gone), fallbacks(back)) == (1.0, 0.0)


def test_a_poller_has_begun_unless_its_last_polls_failed() -> None:
    tally = Tally()
    tally.callers[Side.CONTROL] = {
        1: Marks(0, seen=1, began=1, failed=5),
        2: Marks(0, seen=1, began=5, failed=1),
        3: Marks(0, seen=1, began=NEVER, failed=1),
    }
    tally.settle()

    bad = {one.number: one.bad != NEVER for one in outcomes(tally, Metric.FIRST_EVENT, Side.CONTROL)}
    assert bad == {1: False, 2: True, 3: True}


def test_callers_of_a_single_address_prove_nothing_beside_others() -> None:
    forged = [Marks(7, seen=1, failed=1)] * 50
    fine = [Marks(0, seen=1)] * 97
    elsewhere = [Marks(8, seen=1, failed=1)] * 3

    assert error_rate(of(*forged, *fine)) == (50 / 147, 0.0)
    assert error_rate(of(*forged, *elsewhere, *fine)) == (53 / 150, 0.03)


def test_callers_of_a_single_address_are_all_there_is_where_nobody_else_is() -> None:
    assert error_rate(of(*[Marks(7, seen=1, failed=1)] * 10, *[Marks(7, seen=1)] * 10)) == (0.5, 0.5)
