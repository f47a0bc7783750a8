"""A connection whose other end a test holds."""

import asyncio

from tests.support.scheduler import ManualScheduler


class RecordingTransport:
    """An asyncio transport to a client that reads, stops reading or vanishes, as the test says.

    `received` is what the client has taken, `waiting` what it has not; the protocol is told to pause when
    more than `high_water` bytes wait, and to go on when at most `low_water` do, as asyncio tells it.
    `write_seconds` is how much time each write takes.
    """

    def __init__(
        self,
        scheduler: ManualScheduler,
        *,
        high_water: int = 64,
        low_water: int = 16,
        write_seconds: float = 0.0,
    ) -> None:
        self._scheduler = scheduler
        self._high_water = high_water
        self._low_water = low_water
        self.write_seconds = write_seconds
        self._protocol: asyncio.BaseProtocol | None = None
        self.failure: Exception | None = None
        self._is_paused = False
        self._is_lost = False
        self.is_reading = True
        self.is_closing = False
        self.is_aborted = False
        self.received = bytearray()
        self.waiting = bytearray()
        self.writes: list[bytes] = []

    # The transport, as the gateway sees it

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._scheduler.clock.advance(self.write_seconds)
        if self.failure is not None:
            raise self.failure
        if self._is_lost or (self.is_closing and not self.waiting):
            return  # asyncio drops what is written to a connection that has ended, and only then
        self.writes.append(data)
        if self.is_reading:
            self.received += data
            return
        self.waiting += data
        if len(self.waiting) > self._high_water:
            self._pause()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def close(self) -> None:
        self.is_closing = True
        if not self.waiting:
            self._end_soon()

    def abort(self) -> None:
        self.is_aborted = self.is_closing = True
        self.waiting.clear()
        self._end_soon()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    # The client, as the test plays it

    def stop_reading(self) -> None:
        """The client takes nothing any more."""
        self.is_reading = False

    def clog(self) -> None:
        """The client takes nothing any more, and the transport says so before the next write."""
        self.is_reading = False
        if not self.is_closing and not self._is_lost:
            self._pause()

    def read(self, count: int) -> None:
        """The client takes up to `count` of the bytes that wait."""
        self.received += self.waiting[:count]
        del self.waiting[:count]
        if self._is_paused and len(self.waiting) <= self._low_water:
            self._is_paused = False
            if self._protocol is not None and not self._is_lost:
                self._protocol.resume_writing()
        if self.is_closing and not self.waiting:
            self._end_soon()

    def start_reading(self) -> None:
        """The client takes what waits, and all that comes."""
        self.is_reading = True
        self.read(len(self.waiting))

    def vanish(self) -> None:
        """The client's end is gone; what it has not taken is lost."""
        self.waiting.clear()
        self._end()

    def fail_writes(self, error: Exception) -> None:
        """Each further write raises `error`, as uvloop does for a handle that it has closed."""
        self.failure = error

    def _end_soon(self) -> None:
        self._scheduler.call_soon(self._end)

    def _end(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            if self._protocol is not None:
                self._protocol.connection_lost(None)
