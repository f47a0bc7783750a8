"""A client that streams and nothing else, as a browser's EventSource does."""

import time
from typing import Any

import gevent
from locust import User, task
from locust.exception import StopUser

from loadtests.board import board_of
from loadtests.decoder import Frame
from loadtests.reader import EVENTS_PATH, NOTE, Reader, address_of, parse
from loadtests.sse import EventStream, StreamError, with_query
from loadtests.streams import IGNORED

# An EventSource's own delay where the stream sets none; browsers take 3 to 5 s.
RETRY_MS = 3000
NO_BYE = "the stream ended without a bye"


class StreamUser(User):
    """Holds one stream of notes, and comes back with its cursor when it ends.

    Rows of type SSE: `first event` (from the request to `connected`), `reconnect` (from the loss of the
    stream to `connected`), `bye (REASON)`, `cut`, and those of loadtests/reader.py. A stream that breaks off
    by itself, or is refused, is a failure of `stream`.
    """

    weight = 5
    entity = NOTE

    def on_start(self) -> None:
        self._address = address_of(self.host or "")
        self._board = board_of(self.environment)
        self._reader = Reader(self.environment, "SSE", self.entity)
        self._path = with_query(EVENTS_PATH, {"entity": self.entity})
        self._cursor: str | None = None
        self._lost_at: float | None = None
        self._retry_ms = RETRY_MS

    @task
    def hold(self) -> None:
        """One connection, from its opening to its end and the wait before the next."""
        stream = EventStream(self._address, self._path, self._cursor)
        began = time.perf_counter()
        self._reader.ask()
        bye: dict[str, Any] | None = None
        try:
            with stream:
                self._board.streams.add(stream)
                bye = self._read(stream, began)
        except StreamError as error:
            if stream.was_cut:
                self._reader.tell("cut")
            else:
                self._reader.tell("stream", failure=str(error))
        finally:
            self._board.streams.discard(stream)
        self._lost_at = time.perf_counter()
        self._leave(stream, bye)

    def on_stop(self) -> None:
        self._reader.close()

    def _read(self, stream: EventStream, began: float) -> dict[str, Any]:
        """Reads to the end; gives what `bye` said. Raises StreamError where it ends without one."""
        if stream.status != 200:
            self._reader.tell("stream", failure=f"answered {stream.status} instead of an event stream")
            raise StopUser
        for frame in stream.frames():
            if frame.last_event_id:
                self._cursor = frame.last_event_id
            if frame.event == "bye":
                return parse(frame.data)
            self._take(stream, frame, began)
        raise StreamError(NO_BYE)

    def _take(self, stream: EventStream, frame: Frame, began: float) -> None:
        if frame.event == "connected":
            self._connected(stream, parse(frame.data), began)
        elif frame.event == "reset":
            self._reader.reset(parse(frame.data)["reason"])
        elif frame.event not in IGNORED:
            self._reader.take(parse(frame.data), frame.size)

    def _connected(self, stream: EventStream, data: dict[str, Any], began: float) -> None:
        now = time.perf_counter()
        self._reader.begin()
        self._reader.tell("first event", (now - began) * 1000)
        if self._lost_at is not None:
            self._reader.tell("reconnect", (now - self._lost_at) * 1000)
        stream.expect_heartbeats(data["heartbeatSeconds"])

    def _leave(self, stream: EventStream, bye: dict[str, Any] | None) -> None:
        """Waits as long as the gateway asked for; ends the user where it said not to come back."""
        if stream.decoder.retry_ms is not None:
            self._retry_ms = stream.decoder.retry_ms
        if bye is not None:
            self._reader.tell(f"bye ({bye['reason']})")
            if not bye["reconnect"]:
                raise StopUser
            self._retry_ms = bye["retryMs"]
        gevent.sleep(self._retry_ms / 1000)
