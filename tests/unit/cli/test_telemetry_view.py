"""What clients said, as lines for people."""

from gateway.cli.telemetry_view import telemetry_lines


def test_it_says_what_was_reported_and_by_which_versions() -> None:
    answer = {
        "reports": {"streaming": 7, "polling": 2},
        "fallbacks": {"mute": 3},
        "fallbacksByVersion": [{"clientVersion": "2.1.0", "fallbacks": 3, "error": 0}],
        "firstEventP50Ms": 41.6,
        "firstEventP99Ms": 380.2,
    }

    assert telemetry_lines(answer) == [
        "reports: 7 streaming, 2 polling",
        "first event after 42 ms (median), 380 ms (99th percentile)",
        "fallbacks: 3 mute",
        "CLIENT VERSION  FALLBACKS",
        "2.1.0           3",
    ]


def test_where_nobody_said_anything_it_says_so() -> None:
    assert telemetry_lines({"firstEventP50Ms": None}) == [
        "reports: none",
        "first event after - (median), - (99th percentile)",
        "fallbacks: none",
    ]


def test_whatever_a_gateway_says_instead_nothing_breaks() -> None:
    for odd in (7, "x", [], [3], None):
        assert telemetry_lines({"reports": odd, "fallbacks": odd, "fallbacksByVersion": odd})
