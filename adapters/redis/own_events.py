"""What this node appends, until it comes back to its reader."""

from collections.abc import Sequence

from gateway.core.events import Event

MAX_BYTES = 1_048_576


class OwnEvents:
    """Events by the payload that was made of them: who reads that payload need not decode it.

    Of what does not come back, for it was not appended or nobody reads, the newest `max_bytes` are kept, and
    one event at least.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._events: dict[bytes, Event] = {}
        self._bytes = 0

    def add(self, payloads: Sequence[bytes], events: Sequence[Event]) -> None:
        """These are going to be appended."""
        for payload, event in zip(payloads, events, strict=True):
            if payload not in self._events:
                self._bytes += len(payload)
            self._events[payload] = event
        while self._bytes > self._max_bytes and len(self._events) > 1:
            self.take(next(iter(self._events)))

    def take(self, payload: bytes) -> Event | None:
        """The event that the payload was made of, with its JSON; None where it is another node's.

        It is forgotten: whoever has it next may drop its JSON.
        """
        event = self._events.pop(payload, None)
        if event is not None:
            self._bytes -= len(payload)
        return event
