"""Gives what is broadcast to a channel to the streams that read it. What they do not take is dropped."""

from collections.abc import Iterator
from functools import partial

from gateway.delivery.counters import Work
from gateway.delivery.pace import Pace
from gateway.delivery.presence.fan_out import FanOut
from gateway.delivery.subscriber import Subscriber
from gateway.runtime.failures import Failures


class Broadcasting:
    """The readers of channels, and what is to be written to them yet.

    `taken` counts broadcasts, `delivered` and `dropped` those of single streams; `refused` counts broadcasts
    for which there was no room.
    """

    def __init__(self, fan_out: FanOut, failures: Failures[Work], pace: Pace) -> None:
        self._fan_out = fan_out
        self._failures = failures
        self._pace = pace
        self._readers: dict[str, dict[Subscriber, None]] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._waiting_bytes = 0
        self.taken = self.delivered = self.dropped = self.refused = 0

    def add(self, subscriber: Subscriber, channel: str) -> None:
        """A new stream, which reads the channel."""
        self._readers.setdefault(channel, {})[subscriber] = None

    def remove(self, subscriber: Subscriber, channel: str) -> None:
        """Its connection is over."""
        readers = self._readers[channel]
        readers.pop(subscriber, None)
        if not readers:
            del self._readers[channel]

    @property
    def is_due(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def take(self, channel: str, frame: bytes) -> bool:
        """Takes a broadcast in; says whether there was room."""
        if self._waiting_bytes >= self._pace.broadcast_bytes_waiting:
            self.refused += 1
            return False
        self.taken += 1
        if channel in self._readers:
            self._waiting.setdefault(channel, []).append(frame)
            self._waiting_bytes += len(frame)
        return True

    def give(self) -> Iterator[None]:
        """Writes the next of what waits in each channel to whoever reads it by then.

        Something may wait after that: other work goes between.
        """
        for channel in [*self._waiting]:
            frames = self._next_of(channel)
            readers = tuple(self._readers.get(channel, ()))
            try:
                yield from self._fan_out.write(
                    b"".join(frames),
                    readers,
                    partial(self._drop, len(frames)),
                    partial(self._deliver, len(frames)),
                )
            except Exception as error:  # noqa: BLE001 - whatever it was, the other broadcasts are given
                self._failures.report("broadcast", error)

    def _next_of(self, channel: str) -> list[bytes]:
        """The channel's oldest frames, as many as make one payload."""
        waiting = self._waiting.pop(channel)
        size, count = 0, 0
        while count < len(waiting) and size < self._pace.bytes_a_write:
            size += len(waiting[count])
            count += 1
        if count < len(waiting):
            self._waiting[channel] = waiting[count:]
        self._waiting_bytes -= size
        return waiting[:count]

    def _deliver(self, count: int) -> None:
        self.delivered += count

    def _drop(self, count: int, subscriber: Subscriber) -> None:
        self.dropped += count
