"""Whether a caller may open one more stream, or publish more: `[limits]` (docs/protocol.md, section 9)."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from flags.guard.token_bucket import ClientLimits, Rate
from gateway.access.occupancy import Occupancy, OpenLimit, OpenLimits
from gateway.access.refused import Refused
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.errors import Overloaded, TooManyRequests
from gateway.core.networks import network_of
from gateway.delivery.observer import Unobserved
from gateway.delivery.subscriber import Subscriber
from gateway.ports.clock import Clock

RateLimit = Literal["opens_per_second", "publish_per_second", "presence_per_second", "broadcasts_per_second"]
CallerRate = Literal["publish_per_second", "presence_per_second", "broadcasts_per_second"]
"""A rate of each caller by itself."""
Limit = OpenLimit | RateLimit
LIMITS: tuple[str, ...] = (*get_args(OpenLimit), *get_args(RateLimit))
"""The limits that callers can meet, by the names of their settings."""
MET = (TooManyRequests, Overloaded)
"""What is raised where one is."""

MOST_PUBLISHERS = 65_536
"""Of so many the rate is counted apart; beyond that those share one whose rate is not used up."""
AGAIN_SECONDS = 5.0
"""When one may try again who found no room: nobody knows when a stream ends."""

_DETAILS: dict[Limit, str] = {
    "streams": "The gateway has as many streams open as it may: try again later.",
    "streams_per_subject": "This subject has as many streams open as it may: close one, or try again later.",
    "streams_per_address": "This address has as many streams open as it may: close one, or try again later.",
    "opens_per_second": "More streams are opened than may be at once: try again later.",
    "publish_per_second": "More is published than may be: nothing of this was, send it again later.",
    "presence_per_second": "More is said of who is there than may be: send it again later.",
    "broadcasts_per_second": "More is broadcast than may be: nothing of this was, send it again later.",
}


@dataclass(frozen=True, slots=True)
class Rates:
    """How many streams may be opened in a second, and what one caller may do in one: events published, metas
    set, messages broadcast. 0 is any number."""

    opens_per_second: float = 0.0
    publish_per_second: float = 0.0
    presence_per_second: float = 0.0
    broadcasts_per_second: float = 0.0


class Entry:
    """A stream or long poll that was let in: it counts until the end of this context.

    A stream that `is_kept` counts until the hub says that it ended.
    """

    __slots__ = ("_address", "_occupancy", "_subject", "is_kept")

    def __init__(self, occupancy: Occupancy, subject: str | None, address: str | None) -> None:
        self._occupancy = occupancy
        self._subject = subject
        self._address = address
        self.is_kept = False

    def __enter__(self) -> Self:
        self._occupancy.enter(self._subject, self._address)
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Ends the context: it counts no more, where it is not kept."""
        if not self.is_kept:
            self._occupancy.leave(self._subject, self._address)


class Admission(Unobserved):
    """Lets callers in within the limits, and notes whom it refuses. The hub tells it which streams ended.

    Methods raise TooManyRequests where the limit is of the caller or a rate, else Overloaded.
    """

    def __init__(self, limits: OpenLimits, rates: Rates, clock: Clock) -> None:
        now = clock.monotonic()
        self._clock = clock
        self._occupancy = Occupancy(limits)
        self._opens = _bucket(rates.opens_per_second, now)
        self._callers = {name: _bucket(getattr(rates, name), now) for name in get_args(CallerRate)}
        self.refused = Refused()

    def limits(self, rate: CallerRate) -> bool:
        """Whether `check_rate` looks at anything."""
        return self._callers[rate] is not None

    def stream(self, credentials: Credentials, address: str | None) -> Entry:
        """A new stream, which is to be entered at once."""
        self._check_room(credentials, address)
        if self._opens is not None:
            wait_seconds = self._opens.take("", self._clock.monotonic())
            if wait_seconds:
                raise self._refusal("opens_per_second", credentials, address, wait_seconds)
        return Entry(self._occupancy, credentials.subject, address)

    def long_poll(self, credentials: Credentials, address: str | None) -> Entry:
        """A long poll, which counts as a stream for as long as it waits; to be entered at once."""
        self._check_room(credentials, address)
        return Entry(self._occupancy, credentials.subject, address)

    def check_rate(
        self, rate: CallerRate, credentials: Credentials, address: str | None, count: int = 1
    ) -> None:
        """The caller is about to do so much of what has that rate."""
        bucket = self._callers[rate]
        if bucket is None:
            return
        wait_seconds = bucket.take(_whose(credentials, address), self._clock.monotonic(), count)
        if wait_seconds:
            raise self._refusal(rate, credentials, address, wait_seconds)

    def ended(self, subscriber: Subscriber) -> None:
        """The connection of a stream that was kept is over."""
        if subscriber.connection is not None:
            credentials = subscriber.credentials or NOBODY
            self._occupancy.leave(credentials.subject, subscriber.connection.address)

    def _check_room(self, credentials: Credentials, address: str | None) -> None:
        limit = self._occupancy.passed(credentials.subject, address)
        if limit is not None:
            raise self._refusal(limit, credentials, address, AGAIN_SECONDS)

    def _refusal(
        self, limit: Limit, credentials: Credentials, address: str | None, wait_seconds: float
    ) -> TooManyRequests | Overloaded:
        self.refused.add(limit, credentials.subject, address, self._clock.wall_ms())
        kind = Overloaded if limit == "streams" else TooManyRequests
        return kind(_DETAILS[limit], wait_seconds)


def _bucket(per_second: float, now: float) -> ClientLimits | None:
    """A caller may have at once what flows in within a second, and one of what it asks for at least."""
    if not per_second:
        return None
    return ClientLimits(Rate(per_second, max(1.0, per_second)), None, MOST_PUBLISHERS, now)


def _whose(credentials: Credentials, address: str | None) -> str:
    """Whose rate counts. The kinds have nothing in common, whatever a subject is called."""
    if credentials.subject is not None:
        return f"subject {credentials.subject}"
    if credentials.key is not None:
        return f"key {credentials.key}"
    return f"address {network_of(address)}"
