"""The events of a change in batches, as the log takes them. No I/O."""

from collections.abc import Iterator, Sequence

from adapters.upstream.reading.comparison import Told
from gateway.core.events import Event

BATCH_EVENTS = 250
BATCH_BYTES = 131_072
"""How much is appended to the log at once: neither the log nor anybody who reads it is held up by a batch."""


class EventBatch:
    """Takes what is told, batch by batch; the first `skipped` events are left out."""

    def __init__(self, told: Iterator[Sequence[Told]], skipped: int, most_events: int) -> None:
        self.events: list[Event] = []
        self.cut_items = 0
        self.first_cut: str | None = None
        self.is_over = False
        self._told = told
        self._skipped = skipped
        self._most_events = most_events

    def filling(self) -> Iterator[None]:
        """Makes `events` the next batch, in steps, all events of an item in one; empty at the end."""
        self.events, size = [], 0
        for told in self._told:
            is_cut = False
            for one in told:
                is_cut |= one.is_cut
                if self._skipped:
                    self._skipped -= 1
                    continue
                self.events.append(one.event)
                size += one.size
            if is_cut:
                self.cut_items += 1
                self.first_cut = self.first_cut or told[0].event.entity_id
            if len(self.events) >= self._most_events or size >= BATCH_BYTES:
                return
            yield
        self.is_over = True
