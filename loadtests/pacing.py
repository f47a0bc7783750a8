"""How many events are published, and when."""

import argparse
import time
from typing import NamedTuple, Self

ENTITIES = 100
# Timers are this late at most on a machine that has time; later than that, somebody was busy.
TIMER_NS = 2_000_000


class Pace(NamedTuple):
    """`events` over `lanes`: publishers that send one request or commit after the other.

    With a `rate` (events/s) each event is sent by itself when its time has come. Without one they are sent
    `batch` at a time, as fast as the answers come, and no more once `seconds` are over.
    """

    events: int
    lanes: int
    batch: int = 1
    rate: float | None = None
    seconds: float = 60.0

    def due_ns(self, began_ns: int, index: int) -> int:
        """When the event of that index is to be sent, on the monotonic clock."""
        assert self.rate is not None, "only what has a rate is due at some time"
        return began_ns + round(index * 1e9 / self.rate)

    @staticmethod
    def sent_ns(due_ns: int) -> int:
        """What counts as the time of sending: now, but `due_ns` where a busy publisher is why it is late.

        Else a log that is slow would be asked more rarely, and its latency would look better than it is.
        """
        now_ns = time.monotonic_ns()
        return now_ns if now_ns - due_ns < TIMER_NS else due_ns

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """The command line's options for it."""
        parser.add_argument("--events", type=int, required=True, help="how many to send")
        parser.add_argument("--lanes", type=int, required=True, help="how many publishers")
        parser.add_argument("--batch", type=int, default=1, help="events in a transaction, at full speed")
        parser.add_argument("--rate", type=float, help="events a second, one by one; default: full speed")
        parser.add_argument("--seconds", type=float, default=60.0, help="the longest, at full speed")

    @classmethod
    def of_options(cls, options: argparse.Namespace) -> Self:
        return cls(options.events, options.lanes, options.batch, options.rate, options.seconds)

    def as_options(self) -> list[str]:
        """The options that `of_options` makes the same of."""
        return [f"--{name}={value}" for name, value in self._asdict().items() if value is not None]


def entity_name(number: int) -> str:
    """An entity for that event; they take turns."""
    return f"order:ORDER-{number % ENTITIES}"
