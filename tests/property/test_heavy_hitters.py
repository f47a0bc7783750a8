"""Space-Saving keeps its promises on any stream (Metwally et al. 2005, lemmas 2 and 3, theorem 2)."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flags.guard.heavy_hitters import SpaceSaving

STREAMS = st.lists(st.sampled_from("abcdefghij"), max_size=200)
CAPACITIES = st.integers(1, 12)


@given(STREAMS, CAPACITIES)
def test_a_listed_count_is_never_too_low_and_too_high_by_at_most_its_error(
    stream: list[str], capacity: int
) -> None:
    labels, truth = SpaceSaving(capacity), Counter(stream)
    for label in stream:
        labels.add(label)

    for hitter in labels.top():
        assert hitter.count - hitter.error <= truth[hitter.label] <= hitter.count
        assert hitter.error <= labels.bound


@given(STREAMS, CAPACITIES)
def test_whatever_is_not_listed_is_within_the_bound_and_the_bound_within_its_share(
    stream: list[str], capacity: int
) -> None:
    labels, truth = SpaceSaving(capacity), Counter(stream)
    for label in stream:
        labels.add(label)

    listed = {hitter.label for hitter in labels.top()}
    assert len(listed) <= capacity
    assert all(count <= labels.bound for label, count in truth.items() if label not in listed)
    assert labels.bound <= len(stream) / capacity


@given(STREAMS, CAPACITIES)
def test_the_counts_add_up_and_each_displaced_label_is_told(stream: list[str], capacity: int) -> None:
    labels = SpaceSaving(capacity)
    listed: set[str] = set()
    for label in stream:
        listed.discard(labels.add(label) or "")
        listed.add(label)

    assert listed == {hitter.label for hitter in labels.top()}
    assert sum(hitter.count for hitter in labels.top()) == labels.total == len(stream)
