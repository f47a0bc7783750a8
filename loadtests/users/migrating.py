"""A client that goes where the flags send it, with one cursor for both ways (docs/protocol.md, section 8)."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

import gevent
import orjson
from locust import FastHttpUser, task

from loadtests.board import board_of
from loadtests.decoder import Frame
from loadtests.reader import COMPONENT, EVENTS_PATH, POLL_PATH, TICKET, Reader, address_of, parse
from loadtests.sse import EventStream, StreamError, with_query
from loadtests.streams import IGNORED
from loadtests.users.stream import NO_BYE, RETRY_MS

_LINK = re.compile(r'<([^>]*)>\s*;\s*rel="(?:alternate|successor-version)"')
# Until an answer says at which pace to poll.
POLL_INTERVAL_MS = 1000
STREAMING = "streaming"


class MigratingUser(FastHttpUser):
    """Polls tickets until an answer says `Fetch-Mode: streaming`, then follows its Link to the stream.

    A 204, a `fetch-mode` event or a final `bye` sends it back to polling, from the cursor that it has.
    Rows of type SYNC: `to streaming` (from the answer that said so to `connected`), `to polling` (from the
    word of it to the first answer, with the delay that the gateway asked for), `delivery (polled)`, those of
    loadtests/reader.py and, as StreamUser has them, `cut`, `bye (REASON)` and `stream`; `GET poll STATUS`.
    """

    weight = 3

    def on_start(self) -> None:
        self._address = address_of(self.host or "")
        self._board = board_of(self.environment)
        self._reader = Reader(self.environment, "SYNC", TICKET)
        self._selection = {"entity": TICKET, "component": COMPONENT, "clientId": secrets.token_hex(8)}
        self._cursor: str | None = None
        # Where the gateway told it to go next; None: its own address of the same.
        self._poll_url: str | None = None
        self._stream_url: str | None = None
        self._is_streaming = False
        self._told_at: float | None = None
        self._interval_ms = POLL_INTERVAL_MS

    @task
    def sync(self) -> None:
        """One poll, or one stream from its opening to its end."""
        if self._is_streaming:
            self._stream()
        else:
            self._poll()

    def on_stop(self) -> None:
        self._reader.close()

    def _poll(self) -> None:
        url, self._poll_url = self._poll_url, None
        headers = {}
        more = False
        if url is None:
            url = with_query(POLL_PATH, self._selection)
            if self._cursor is not None:
                headers["If-None-Match"] = f'"{self._cursor}"'
        with self.client.get(url, headers=headers, name="poll", catch_response=True) as response:
            response.request_meta["name"] = f"poll {response.status_code}"
            if response.status_code not in (200, 304, 410):
                response.failure(f"answered {response.status_code}")
            else:
                # Also a 410: it is how the end of polling is said.
                response.success()
                more = self._answered(response.status_code, response.headers, response.content)
        if not self._is_streaming and not more:
            gevent.sleep(self._interval_ms / 1000)

    def _answered(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Takes an answer, and goes where it says; gives whether more events wait behind it."""
        if self._told_at is not None:
            self._reader.tell("to polling", (time.perf_counter() - self._told_at) * 1000)
            self._told_at = None
        more = status == 200 and self._take_answer(orjson.loads(body))
        self._cursor = headers.get("ETag", "").strip('"') or self._cursor
        if headers.get("Fetch-Mode") == STREAMING and not more:
            link = _LINK.search(headers.get("Link", ""))
            self._go(streaming=True, url=link[1] if link else None)
        return more

    def _take_answer(self, answer: Mapping[str, Any]) -> bool:
        """The events of an answer; gives whether more wait behind them."""
        self._reader.begin()
        if "reset" in answer:
            self._reader.reset(answer["reset"]["reason"])
        for event in answer["events"]:
            self._reader.take(event, row="delivery (polled)")
        self._interval_ms = answer["pollIntervalMs"]
        return bool(answer["more"])

    def _go(self, *, streaming: bool, url: str | None = None) -> None:
        """From now on the other way; `url` is where it begins, None: where this user would go itself."""
        self._is_streaming = streaming
        self._told_at = time.perf_counter()
        self._stream_url = url if streaming else None
        self._poll_url = None if streaming else url

    def _stream(self) -> None:
        url, self._stream_url = self._stream_url, None
        # A Link that has a cursor is taken at its word: the header would win over it.
        cursor = None if url is not None and "lastEventId=" in url else self._cursor
        stream = EventStream(self._address, url or with_query(EVENTS_PATH, self._selection), cursor)
        self._reader.ask()
        try:
            with stream:
                self._board.streams.add(stream)
                wait_ms = self._read(stream)
        except StreamError as error:
            if stream.was_cut:
                self._reader.tell("cut")
            else:
                self._reader.tell("stream", failure=str(error))
            wait_ms = stream.decoder.retry_ms or RETRY_MS
        finally:
            self._board.streams.discard(stream)
        gevent.sleep(wait_ms / 1000)

    def _read(self, stream: EventStream) -> float:
        """Reads to the end; gives how many milliseconds to wait before whatever comes next.

        Raises StreamError where it ends without `bye`.
        """
        if stream.status == 204:
            self._go(streaming=False)
            # Not at once: a gateway whose two answers disagree must not be asked without a pause.
            return self._interval_ms
        if stream.status != 200:
            self._reader.tell("stream", failure=f"answered {stream.status} instead of an event stream")
            return RETRY_MS
        delay_ms: float = 0
        for frame in stream.frames():
            self._cursor = frame.last_event_id or self._cursor
            if frame.event == "fetch-mode":
                delay_ms = self._sent_away(parse(frame.data))
            elif frame.event == "bye":
                return self._bye(parse(frame.data), delay_ms)
            else:
                self._take_frame(stream, frame)
        raise StreamError(NO_BYE)

    def _take_frame(self, stream: EventStream, frame: Frame) -> None:
        if frame.event == "connected":
            self._reader.begin()
            stream.expect_heartbeats(parse(frame.data)["heartbeatSeconds"])
            if self._told_at is not None:
                self._reader.tell("to streaming", (time.perf_counter() - self._told_at) * 1000)
                self._told_at = None
        elif frame.event == "reset":
            self._reader.reset(parse(frame.data)["reason"])
        elif frame.event not in IGNORED:
            self._reader.take(parse(frame.data), frame.size)

    def _sent_away(self, told: Mapping[str, Any]) -> float:
        """A component changed its mode; gives how long to wait where it is this user's and is to poll."""
        if told["component"] != COMPONENT or told["mode"] == STREAMING:
            return 0
        self._go(streaming=False, url=told["pollUrl"])
        return float(told["delayMs"])

    def _bye(self, bye: Mapping[str, Any], delay_ms: float) -> float:
        self._reader.tell(f"bye ({bye['reason']})")
        if self._is_streaming and not bye["reconnect"]:
            self._go(streaming=False)
        return delay_ms if not bye["reconnect"] else float(bye["retryMs"])
