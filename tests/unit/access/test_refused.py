"""Who met a limit: the latest are remembered, and no flood of names makes that more."""

from gateway.access.refused import Met, Refused


def test_refusals_are_counted_by_limit_and_by_whom() -> None:
    refused = Refused()
    refused.add("streams", "ana", "10.0.0.1", 1)
    refused.add("streams", "ben", "10.0.0.1", 2)
    refused.add("streams", "ana", "10.0.0.1", 3)
    refused.add("publish_per_second", "ana", "10.0.0.1", 4)

    assert refused.counts == {"streams": 3, "publish_per_second": 1}
    assert list(refused.latest()) == [
        Met("publish_per_second", "ana", "10.0.0.1", 1, 4),
        Met("streams", "ana", "10.0.0.1", 2, 3),
        Met("streams", "ben", "10.0.0.1", 1, 2),
    ]


def test_the_latest_are_kept_and_every_one_is_counted() -> None:
    refused = Refused(max_kept=2)
    for number in range(1000):
        refused.add("streams", f"u{number}", None, number)

    assert [met.subject for met in refused.latest()] == ["u999", "u998"]
    assert refused.counts == {"streams": 1000}
