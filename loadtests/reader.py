"""What every user does who gets events, however they come: tells Locust of each, and checks the numbering.

Locust's table then has the rows `delivery` (its time is the lag, from the event's timestamp to here),
`catch-up` (the same, of events from before the request), `gap`, `duplicate`, `reordered`, `reset` and `owed`.
The last five have no time; all of them but `reset` are failures.
"""

import ipaddress
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from locust.env import Environment

from loadtests.board import board_of
from loadtests.sequences import Sequences
from loadtests.sse import Address

EVENTS_PATH = "/api/v1/sync/events"
POLL_PATH = "/api/v1/sync/poll"
# Published by `Publisher`: notes belong to no component and always stream, tickets are under the flag.
NOTE, TICKET = "note", "ticket"
COMPONENT = "tickets"


class NotLoopbackError(ValueError):
    """The target is not on this machine; the message is for people."""


class DeliveryError(Exception):
    """What Locust lists among the failures; the same text for all of a kind, so that it can group them."""


def address_of(host: str) -> Address:
    """The address in Locust's `--host`. Raises NotLoopbackError unless it is `http://` on loopback."""
    parts = urlsplit(host)
    try:
        allowed = parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        allowed = False
    if not allowed or parts.hostname is None:
        raise NotLoopbackError(
            f"Load and its web page stay on this machine: http://127.0.0.1:PORT is allowed, not {host!r}."
        )
    return Address(parts.hostname, parts.port or 80)


class Reader:
    """One user's view of the events of one kind. `via` is the request type under which Locust shows it."""

    def __init__(self, environment: Environment, via: str, kind: str) -> None:
        self.via = via
        self._kind = kind
        self._fire = environment.events.request.fire
        self._board = board_of(environment)
        self._sequences = Sequences(self._board.offered)
        self._asked_at = 0.0

    def ask(self) -> None:
        """A request for a stream begins: events from before it are caught up with, and not late."""
        self._asked_at = time.time()

    def begin(self) -> None:
        """The gateway has answered: from the first time on, every event is to come."""
        self._sequences.begin()

    def tell(
        self, name: str, milliseconds: float = 0.0, *, size: int = 0, failure: str | None = None
    ) -> None:
        """A row of Locust's table, and one more request in it; `failure` makes it one that failed."""
        self._fire(
            request_type=self.via,
            name=name,
            response_time=milliseconds,
            response_length=size,
            exception=None if failure is None else DeliveryError(failure),
            context={},
        )

    def take(self, event: Mapping[str, Any], size: int = 0, *, row: str = "delivery") -> None:
        """One event as the protocol has it; those of `Publisher` are numbered, others are only timed."""
        sent = datetime.fromisoformat(event["timestamp"]).timestamp()
        name = row if sent >= self._asked_at else "catch-up"
        self.tell(name, max(0.0, time.time() - sent) * 1000, size=size)
        data = event.get("data", {})
        if "lane" not in data:
            return
        finding = self._sequences.take(data["lane"], data["number"])
        if finding is not None:
            self.tell(finding.kind, failure=f"{finding.kind} in the numbers of {event['eventType']}")

    def reset(self, reason: str) -> None:
        """The gateway has said that it can't fill a gap."""
        self.tell(f"reset ({reason})")
        self._sequences.restart()

    def close(self) -> None:
        """Holds what was had against what was published; the difference goes to the board."""
        owed = self._sequences.owed(self._board.published_of(self._kind))
        self._board.owed += owed
        if owed:
            self.tell("owed", failure="events that were published never came")


def parse(data: str) -> dict[str, Any]:
    """The JSON object in an event's data."""
    value: dict[str, Any] = orjson.loads(data)
    return value
