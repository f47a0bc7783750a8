"""Time as text, and the machine's clocks."""

import pytest

from gateway.core.times import rfc3339
from gateway.ports.clock import SystemClock


@pytest.mark.parametrize(
    ("wall_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_732_125_600_123, "2024-11-20T18:00:00.123Z"),
        (1_732_125_600_001, "2024-11-20T18:00:00.001Z"),
        (1_732_125_600_999, "2024-11-20T18:00:00.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_wall_time_is_written_in_utc_with_milliseconds(wall_ms: int, text: str) -> None:
    assert rfc3339(wall_ms) == text


def test_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)


def test_the_system_clock_counts_milliseconds_since_1970() -> None:
    assert rfc3339(SystemClock().wall_ms()).startswith("2")
