"""Who polls, as nodes tell one another."""

import pytest

from flags.guard.heavy_hitters import HeavyHitter, HitterList
from flags.guard.inventory_counts import CAPACITY, InventoryCounts, Poller, Rate, merged

ONE = InventoryCounts(HitterList((HeavyHitter("web/1", 8, 0),), 8, 0), {"web/1": Rate(0.5, 3.0)}, 3, 5, 2.5)
OTHER = InventoryCounts(
    HitterList((HeavyHitter("curl 8", 4, 0), HeavyHitter("web/1", 2, 0)), 6, 0),
    {"web/1": Rate(0.25, 1.0), "curl 8": Rate(0.1, 9.0)},
    *(4, 6, 7.75),
)


def test_polls_and_rates_add_up_and_the_last_poll_is_the_last_of_all() -> None:
    report = merged([ONE, OTHER]).report()
    assert report.pollers == (Poller("web/1", 10, 0, 0.75, 1.0), Poller("curl 8", 4, 0, 0.1, 9.0))
    assert report.polls == 14


def test_what_is_saved_comes_of_the_sum_and_is_not_summed() -> None:
    """One node asks the upstream, and another answers the polls."""
    asks = InventoryCounts(upstream_requests=10)
    answers = InventoryCounts(from_snapshot=30, replaced=4.5)
    assert [part.report().saved_by_snapshot for part in (asks, answers)] == [0, 30]
    assert merged([asks, answers]).report().saved_by_snapshot == 20
    streams = InventoryCounts(replaced=40.5)
    assert merged([asks, streams]).report().saved_by_push == 30


def test_one_of_a_node_that_is_gone_has_no_rate_and_was_seen_that_much_earlier() -> None:
    assert ONE.aged(10.0, gone=True).rates == {"web/1": Rate(0.0, 13.0)}
    assert ONE.aged(1.0, gone=False).rates == {"web/1": Rate(0.5, 4.0)}


def test_what_was_counted_since_is_the_difference() -> None:
    assert merged([ONE, OTHER]).less(ONE).report().pollers[0].polls == 4
    assert ONE.less(ONE).report().polls == 0


def test_a_sum_is_no_longer_than_each() -> None:
    each = [
        InventoryCounts(HitterList((HeavyHitter(f"app/{n}", 1, 0),), 1, 0), {f"app/{n}": Rate(0.0, 1.0)})
        for n in range(200)
    ]
    report = merged(each).report()
    assert (len(report.pollers), report.polls, report.unlisted_bound) == (CAPACITY, 200, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"hitters": [["x", 1, 0]], "total": 1, "bound": 0}},
        {"rates": {"web/1": [1.0]}},
        {"rates": {"web/1": [float("nan"), 1.0]}},
        {"rates": {"web/1": [-1.0, 1.0]}},
        {"upstreamRequests": -1},
        {"fromSnapshot": None},
        {"replaced": float("inf")},
    ],
)
def test_what_is_none_is_refused(change: dict[str, object]) -> None:
    assert InventoryCounts.of(ONE.wire()) == ONE
    with pytest.raises(ValueError, match="must"):
        InventoryCounts.of(ONE.wire() | change)
