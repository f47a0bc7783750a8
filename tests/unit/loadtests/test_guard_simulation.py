"""The guard's simulation: what must hold of it, on few small rollouts."""

from dataclasses import replace

import pytest

from flags.decide.guard_settings import Margins
from flags.guard.callers import Side
from loadtests.bench import UsageError
from loadtests.guard import harms, parse, steps
from loadtests.guard_report import durations, problems, with_harm, without_harm
from loadtests.guard_rollouts import End, Outcome, Scenario, Task, run, simulate
from loadtests.guard_world import Habits, What, World

STEP = Scenario("a step", callers=(1_000,), percentage=25.0, hours=1.0, is_one_step=True)
HARM = replace(STEP, name="harm", habits=Habits(harm=0.3))
SHORT = replace(STEP, name="short", hours=0.2)


def ignore(done: int) -> None:
    pass


@pytest.mark.parametrize("number", range(3))
def test_without_harm_nothing_is_taken_back(number: int) -> None:
    found = simulate(Task(STEP, number, 1))

    assert found.end is not End.ROLLED_BACK
    assert found.strikes == 0


@pytest.mark.parametrize("number", range(3))
def test_large_harm_is_found_and_the_metric_is_told(number: int) -> None:
    found = simulate(Task(HARM, number, 1))

    assert (found.end, found.metric) == (End.ROLLED_BACK, "errorRate")
    assert found.strikes > 0
    assert found.on >= 100


def test_a_guard_that_is_asked_at_every_evaluation_comes_to_the_same() -> None:
    asked_seldom = simulate(Task(HARM, 0, 1))
    asked_always = simulate(Task(HARM, 0, 1, is_thorough=True))

    assert asked_seldom.end is asked_always.end
    # Later, by a window at most, and never sooner.
    assert asked_always.minutes <= asked_seldom.minutes <= asked_always.minutes + 5


def test_a_seed_gives_the_same_on_any_number_of_processes() -> None:
    tasks = [Task(SHORT, number, 5) for number in range(3)]

    assert run(tasks, 1, ignore) == run(tasks, 2, ignore)


def test_another_seed_gives_other_rollouts() -> None:
    one, other = (simulate(Task(HARM, 0, seed)) for seed in (1, 2))

    assert one.strikes != other.strikes


def test_the_thresholds_of_before_see_no_harm_in_one_request_of_many() -> None:
    found = simulate(Task(replace(HARM, is_now=False, habits=Habits(harm=0.05)), 0, 1))

    assert found.end is not End.ROLLED_BACK


def test_a_caller_that_leaves_is_followed_by_another_on_the_same_side() -> None:
    world = World(Habits(), 500, 20.0, "a seed")
    began = world.settle(20.0, 0.0)
    sides = dict(world.by_side)

    happened = [what for _, what, _ in world.advance(3600.0)]

    assert len(began) == 500
    assert happened.count(What.LEFT) == happened.count(What.CAME) > 100
    assert world.by_side == sides


def test_harm_is_as_large_as_it_is_said_to_be_and_on_one_side() -> None:
    failed = {harm: dict.fromkeys((Side.TREATED, Side.CONTROL), 0) for harm in (0.0, 0.1)}
    for harm in failed:
        world = World(Habits(harm=harm), 2_000, 50.0, "a seed")
        world.settle(50.0, 0.0)
        who = {(side.side, side.who) for _, what, side in world.advance(300.0) if what is What.FAILED}
        for side, _ in who:
            failed[harm][side] += 1

    assert failed[0.1][Side.TREATED] - failed[0.0][Side.TREATED] == pytest.approx(100, abs=35)
    assert failed[0.1][Side.CONTROL] - failed[0.0][Side.CONTROL] == pytest.approx(0, abs=20)


def test_a_large_crowd_is_followed_by_a_sample_of_it() -> None:
    world = World(Habits(), 60_000, 5.0, "a seed")
    world.settle(5.0, 0.0)

    assert world.levels[Side.CONTROL] > world.levels[Side.TREATED]
    assert len(world.there) < 5_000
    assert world.sizes[Side.TREATED] == pytest.approx(3_000, rel=0.1)


def outcome(end: End, **changes: object) -> Outcome:
    return replace(Outcome(1_000, end, 30.0, 25.0, on=200, strikes=1, evaluations=9), **changes)  # type: ignore[arg-type]


def test_more_than_one_false_rollback_in_twenty_is_a_failure() -> None:
    fine = replace(STEP, is_one_step=False)
    good = [outcome(End.PROMOTED, strikes=0)] * 19

    assert problems({fine: [*good, outcome(End.ROLLED_BACK, strikes=0)]}) == []
    assert problems({fine: [*good[1:], *[outcome(End.ROLLED_BACK, strikes=0)] * 2]}) != []


def test_harm_that_struck_nobody_is_a_failure() -> None:
    assert problems({HARM: [outcome(End.ROLLED_BACK, strikes=0)]}) != []
    assert problems({HARM: [outcome(End.ROLLED_BACK)]}) == []


def test_the_tables_tell_both_rules() -> None:
    through, waits = outcome(End.PROMOTED), outcome(End.WAITS)
    back = outcome(End.ROLLED_BACK, by_limit=True)

    _, header, rows = without_harm([through, through, waits], [waits])
    assert rows[0][:7] == ("1,000", "3", "0.0%", "0", "67%", "33%", "30")
    assert rows[-1][0] == "all"
    assert len(header) == len(rows[0])

    _, header, rows = with_harm([(HARM, [back, waits], [through, through])])
    assert rows[0][4:8] == ("50%", "1", "200", "200")
    assert rows[0][-3:] == ("0%", "100%", "0%")
    assert len(header) == len(rows[0])


def test_a_step_that_is_not_decided_says_how_many_callers_more_it_takes() -> None:
    stuck = [outcome(End.WAITS, wanted=223)] * 3
    _, header, rows = durations(
        {STEP: stuck, replace(STEP, min_samples=10): [outcome(End.PROMOTED)], HARM: []}
    )

    assert rows[0][:3] == ("1,000", "25 %", "250")
    assert rows[0][3:5] == ("not in 1 h: some 220 callers more", "30 min")
    assert len(header) == len(rows[0])


def test_a_step_that_was_mostly_taken_back_says_so() -> None:
    _, _, rows = durations({STEP: [outcome(End.ROLLED_BACK), outcome(End.WAITS, wanted=9)]})

    assert rows[0][3] == "not in 1 h: 1 of 2 taken back"


def test_every_scenario_has_a_name_of_its_own_rules() -> None:
    scenarios = [*harms(), *steps()]

    assert len(set(scenarios)) == len(scenarios)
    assert any(one.margins == Margins() for one in scenarios)


def test_options_out_of_bounds_are_refused() -> None:
    assert parse(["--quick"]).rollouts < parse([]).rollouts == 1000
    with pytest.raises(UsageError, match="rollouts"):
        parse(["--rollouts", "-1"])
