"""What several nodes have counted adds up, and comes through JSON as it was."""

from collections import Counter
from collections.abc import Iterable

import orjson
from hypothesis import given
from hypothesis import strategies as st

from flags.guard import inventory_counts
from flags.guard.heavy_hitters import HitterList, SpaceSaving, merged_hitters
from flags.guard.inventory import PollerInventory
from flags.guard.inventory_counts import InventoryCounts
from flags.guard.windows import Durations
from flags.parity import report_wire
from tests.property.pushing import World, worlds


def counted(labels: Iterable[str], capacity: int) -> HitterList:
    counting = SpaceSaving(capacity)
    for label in labels:
        counting.add(label)
    return counting.hitters()


@given(st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=60), max_size=4))
def test_a_merged_list_keeps_the_promises_of_each(streams: list[list[str]]) -> None:
    both = merged_hitters([counted(stream, 4) for stream in streams], 4)
    true = Counter(label for stream in streams for label in stream)
    listed = {hitter.label for hitter in both.hitters}
    assert len(listed) == len(both.hitters) <= 4
    assert both.total == true.total()
    for hitter in both.hitters:
        assert hitter.count - hitter.error <= true[hitter.label] <= hitter.count
    assert all(count <= both.bound for label, count in true.items() if label not in listed)


@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_a_list_is_the_same_after_a_journey_as_json(labels: list[str]) -> None:
    one = counted(labels, 4)
    assert HitterList.of(orjson.loads(orjson.dumps(one.wire()))) == one


@given(st.lists(st.floats(0.0, 1e9)), st.lists(st.floats(0.0, 1e9)))
def test_durations_are_the_same_after_a_journey_as_json(before: list[float], since: list[float]) -> None:
    durations, earlier, later = Durations(), Durations(), Durations()
    for milliseconds in before:
        durations.add(milliseconds)
        earlier.add(milliseconds)
    for milliseconds in since:
        durations.add(milliseconds)
        later.add(milliseconds)
    again = Durations.of(orjson.loads(orjson.dumps(durations.bins())))
    assert (again.bins(), again.total) == (durations.bins(), len(before) + len(since))
    assert durations.less(earlier).bins() == later.bins()


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100), st.booleans()))))
def test_inventories_of_several_nodes_are_that_of_one_that_saw_it_all(
    nodes: list[list[tuple[str, float, bool]]],
) -> None:
    whole, parts = PollerInventory(), []
    for polls in nodes:
        part = PollerInventory()
        for label, at, from_snapshot in sorted(polls, key=lambda poll: poll[1]):
            part.polled(label, at, from_snapshot=from_snapshot)
        parts.append(InventoryCounts.of(orjson.loads(orjson.dumps(part.counts(100.0).wire()))))
    for label, at, from_snapshot in sorted((poll for polls in nodes for poll in polls), key=lambda p: p[1]):
        whole.polled(label, at, from_snapshot=from_snapshot)
    together, wanted = inventory_counts.merged(parts).report(), whole.report(100.0)
    assert together.polls == wanted.polls
    assert together.saved_by_snapshot == wanted.saved_by_snapshot
    found = {poller.label: poller for poller in together.pollers}
    assert found.keys() == {poller.label for poller in wanted.pollers}
    for poller in wanted.pollers:
        assert found[poller.label].polls == poller.polls
        assert abs(found[poller.label].per_second - poller.per_second) < 1e-9
        assert abs(found[poller.label].last_seen_seconds - poller.last_seen_seconds) < 1e-9


@given(worlds())
def test_a_parity_report_is_the_same_after_a_journey_as_json(world: World) -> None:
    parity = world.parity()
    world.run(parity)
    report = parity.report()
    assert report_wire.of(orjson.loads(orjson.dumps(report_wire.wire(report)))) == report
