"""Debounced hints against a model that keeps every event until its hint is given."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.hints import Debouncer, HintTiming, Refresh


class Change(NamedTuple):
    """An event; times are whole milliseconds, so that model and code agree to the last digit."""

    number: int
    entity_type: str
    entity_id: str
    event_type: str
    at_ms: int


class Model:
    """The rule in its plainest form: a hint is for a set of events, and due by its first and last."""

    def __init__(self, timing: HintTiming, fan_in: int) -> None:
        self._timing = timing
        self._fan_in = fan_in
        self._pending: dict[tuple[str, str | None], list[Change]] = {}

    def observe(self, change: Change) -> None:
        whole = (change.entity_type, None)
        key = whole if whole in self._pending else (change.entity_type, change.entity_id)
        self._pending.setdefault(key, []).append(change)
        named = [key for key in self._pending if key[0] == change.entity_type and key[1] is not None]
        if len(named) > self._fan_in:
            changes = [one for key in named for one in self._pending.pop(key)]
            self._pending[whole] = sorted(changes)

    def _deadline(self, changes: list[Change]) -> int:
        last = changes[-1].at_ms + self._timing.debounce_ms
        return min(last, changes[0].at_ms + self._timing.max_wait_ms)

    def due(self, now_ms: int) -> set[tuple[str, str | None, frozenset[str], int]]:
        ready = [key for key, changes in self._pending.items() if self._deadline(changes) <= now_ms]
        given_hints = set()
        for key in ready:
            changes = self._pending.pop(key)
            given_hints.add((*key, frozenset(change.event_type for change in changes), len(changes)))
        return given_hints

    def next_deadline(self) -> int | None:
        return min((self._deadline(changes) for changes in self._pending.values()), default=None)

    def oldest_number(self) -> int | None:
        return min((changes[0].number for changes in self._pending.values()), default=None)


def as_set(refreshes: list[Refresh]) -> set[tuple[str, str | None, frozenset[str], int]]:
    hints = {
        (refresh.entity_type, refresh.entity_id, frozenset(refresh.event_types), refresh.count)
        for refresh in refreshes
    }
    assert len(hints) == len(refreshes)
    assert all(len(refresh.event_types) == len(set(refresh.event_types)) for refresh in refreshes)
    return hints


_delays = st.sampled_from((50, 100, 200, 1000))
_steps = st.tuples(
    st.integers(0, 120),
    st.none() | st.tuples(st.sampled_from(("order", "job")), st.sampled_from("1234"), st.sampled_from("ab")),
)


@given(st.builds(HintTiming, _delays, _delays), st.integers(1, 3), st.lists(_steps, max_size=40))
def test_hints_are_due_when_the_model_says_and_count_every_event_once(
    timing: HintTiming, fan_in: int, steps: list[tuple[int, tuple[str, str, str] | None]]
) -> None:
    debouncer, model = Debouncer(timing, fan_in), Model(timing, fan_in)
    now_ms = observed = counted = 0
    for passed_ms, event in steps:
        now_ms += passed_ms
        if event is None:
            given_hints = debouncer.due(now_ms / 1000 + 1e-9)
            assert as_set(given_hints) == model.due(now_ms)
            counted += sum(refresh.count for refresh in given_hints)
        else:
            observed += 1
            debouncer.observe(*event, observed, now_ms / 1000)
            model.observe(Change(observed, *event, now_ms))
        deadline, expected = debouncer.next_deadline(), model.next_deadline()
        assert (deadline is None) is (expected is None)
        assert deadline is None or expected is None or abs(deadline - expected / 1000) < 1e-6
        assert debouncer.oldest_number() == model.oldest_number()
    assert counted + sum(refresh.count for refresh in debouncer.take_all()) == observed


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 50)), max_size=60))
def test_no_type_has_more_pending_hints_than_the_fan_in(fan_in: int, events: list[tuple[str, int]]) -> None:
    debouncer = Debouncer(HintTiming(500, 2000), fan_in)
    for number, (entity_type, entity) in enumerate(events, 1):
        debouncer.observe(entity_type, str(entity), "a", number, 0.0)
    pending = debouncer.take_all()
    for entity_type in "xyz":
        hints = [refresh for refresh in pending if refresh.entity_type == entity_type]
        assert len(hints) <= fan_in
        assert len(hints) == 1 or all(refresh.entity_id is not None for refresh in hints)
