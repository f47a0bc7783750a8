"""Whatever is done to the flags, by whomever: histories lead to what is, and files come back as written."""

import contextlib
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flags.decide.flag import Flag
from flags.decide.stages import Stage
from flags.errors import FlagError
from flags.store.document import parse, render
from flags.store.ledger import Ledger, changed, reconciled, rolled_back, state, switched
from flags.store.retention import kept
from flags.store.revisions import attribution, rollback_target
from tests.support.flags import NOW

ANN = attribution("ann", "because", NOW)
THE_FILE = attribution("file", "found in it", NOW)
COMPONENTS = st.sampled_from(["orders", "invoices"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["off", "shadow", "live", "rampdown", "complete"]),
        "percentage": st.sampled_from([0, 5, 12.5, 100]),
        "killed": st.booleans(),
        "checkRatio": st.integers(1, 3),
    },
)
REVISIONS = st.none() | st.integers(0, 8)
OPERATIONS = st.one_of(
    st.tuples(st.just("change"), COMPONENTS, FIELDS, REVISIONS, st.booleans()),
    st.tuples(st.just("roll back"), COMPONENTS, REVISIONS),
    st.tuples(st.just("switch"), st.booleans()),
    st.tuples(st.just("edit"), st.dictionaries(COMPONENTS, FIELDS), st.booleans()),
)
RUNS = st.lists(OPERATIONS, max_size=12)
MOST = st.integers(1, 4) | st.just(100)


def edited(flags: dict[str, Any], kill_all: bool) -> Ledger:
    """A file without histories, as a deployment writes it."""
    return Ledger(
        MappingProxyType(
            {name: Flag.parse({**fields, "component": name, "revision": 1}) for name, fields in flags.items()}
        ),
        kill_all,
    )


def done(ledger: Ledger, operation: tuple[Any, ...]) -> Ledger:
    match operation:
        case "change", component, fields, expected, whole:
            return changed(ledger, component, fields, expected_revision=expected, whole=whole, by=ANN)
        case "roll back", component, to:
            return rolled_back(ledger, component, to_revision=to, expected_revision=None, by=ANN)
        case "switch", killed:
            return switched(ledger, killed, by=ANN)
        case "edit", flags, kill_all:
            return reconciled(ledger, edited(flags, kill_all), by=THE_FILE)
    raise AssertionError(operation)


def outcome(operations: list[tuple[Any, ...]], ledger: Ledger = Ledger()) -> Ledger:  # noqa: B008 - frozen
    for operation in operations:
        with contextlib.suppress(FlagError):
            ledger = done(ledger, operation)
    return ledger


def holding(ledger: Ledger, most: int) -> Ledger:
    """The ledger with so many revisions of each history at most."""
    *histories, switch = kept([*ledger.histories.values(), ledger.kill_all_history], most)
    return replace(
        ledger,
        histories=MappingProxyType(dict(zip(ledger.histories, histories, strict=True))),
        kill_all_history=switch,
    )


@given(RUNS, RUNS, MOST)
def test_a_history_leads_to_the_flag_and_has_no_gap(
    operations: list[tuple[Any, ...]], later: list[tuple[Any, ...]], most: int
) -> None:
    ledger = outcome(later, holding(outcome(operations), most))

    for component, history in ledger.histories.items():
        flag = ledger.flags.get(component)
        assert [entry.revision for entry in history.entries] == list(
            range(history.dropped + 1, history.last + 1)
        )
        assert history.state == (None if flag is None else state(flag))
        assert flag is None or flag.revision == history.last
    assert ledger.flags.keys() <= ledger.histories.keys()


@given(RUNS, MOST)
def test_a_history_that_let_go_of_revisions_says_of_the_others_what_the_whole_one_says(
    operations: list[tuple[Any, ...]], most: int
) -> None:
    ledger = outcome(operations)
    for component, history in holding(ledger, most).histories.items():
        whole = ledger.histories[component]
        for number in range(history.dropped, history.last + 1):
            assert history.state_at(number) == whole.state_at(number)
        assert rollback_target(history) in (None, rollback_target(whole))
        for stage in Stage:
            assert (
                history.state is None
                or history.state["stage"] != stage
                or (history.came_into(stage) == whole.came_into(stage))
            )


@given(RUNS, MOST)
def test_a_file_comes_back_as_it_was_written_and_needs_no_correction(
    operations: list[tuple[Any, ...]], most: int
) -> None:
    ledger = holding(outcome(operations), most)

    assert parse(render(ledger)) == ledger
    assert reconciled(ledger, ledger, by=THE_FILE) == ledger
    assert reconciled(Ledger(), ledger, by=THE_FILE) == ledger


@given(RUNS, st.dictionaries(COMPONENTS, FIELDS), st.booleans())
def test_what_a_file_says_is_what_counts(
    operations: list[tuple[Any, ...]], flags: dict[str, Any], kill_all: bool
) -> None:
    written = edited(flags, kill_all)
    ledger = reconciled(outcome(operations), written, by=THE_FILE)

    assert {name: flag.numbered(1) for name, flag in ledger.flags.items()} == written.flags
    assert ledger.kill_all is kill_all


@given(RUNS, RUNS, RUNS, MOST)
def test_two_programs_that_parted_agree_once_each_has_seen_the_others_file(
    common: list[tuple[Any, ...]], mine: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]], most: int
) -> None:
    start = outcome(common)
    one, other = outcome(mine, start), holding(outcome(theirs, start), most)

    one = reconciled(one, other, by=THE_FILE)
    other = reconciled(other, one, by=THE_FILE)

    assert one == other


@given(RUNS)
def test_repeated_rollbacks_go_further_back_each_time_and_come_to_an_end(
    operations: list[tuple[Any, ...]],
) -> None:
    ledger = outcome(operations)
    for component in ledger.flags:
        restored = []
        with contextlib.suppress(FlagError):
            while True:
                before = ledger.flags[component]
                ledger = rolled_back(ledger, component, to_revision=None, expected_revision=None, by=ANN)
                after = ledger.flags[component]
                restored.append(ledger.revisions(component).entries[-1].restores)
                assert (before.stage, before.percentage) != (after.stage, after.percentage)
        assert restored == sorted(set(restored), reverse=True)
