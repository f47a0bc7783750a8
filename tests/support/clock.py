"""Time that a test turns by hand."""


class ManualClock:
    """A gateway.ports.clock.Clock that stands still until it is told to go on."""

    def __init__(self, monotonic: float = 1000.0, wall_ms: int = 1_732_125_600_123) -> None:
        self._monotonic = monotonic
        self._wall_ms = wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    def wall_ms(self) -> int:
        return self._wall_ms

    def advance(self, seconds: float) -> None:
        """Lets that much time pass on both clocks."""
        assert seconds >= 0, "monotonic time does not go back"
        self._monotonic += seconds
        self._wall_ms += round(seconds * 1000)

    def advance_to(self, monotonic: float) -> None:
        """Lets time pass until then, or none where that has passed."""
        self.advance(max(0.0, monotonic - self._monotonic))

    def set_wall_ms(self, wall_ms: int) -> None:
        """Sets the clock on the wall, forward or back; durations do not notice."""
        self._wall_ms = wall_ms


class BusyClock(ManualClock):
    """A clock on which looking takes time."""

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self._step_seconds = step_seconds

    @property
    def now(self) -> float:
        """What it shows, without a look."""
        return self._monotonic

    def monotonic(self) -> float:
        self.advance(self._step_seconds)
        return super().monotonic()
