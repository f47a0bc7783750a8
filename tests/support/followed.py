"""A tracker before an upstream that says what it is told to."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.event_batches import BATCH_EVENTS
from adapters.upstream.reading.items import Items
from adapters.upstream.tracker import MakeText, Tracker
from gateway.core.errors import LogError
from gateway.core.events import Cursor, Event, Record
from gateway.ports.clock import Clock
from gateway.ports.log import Appended
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route, listed


class Log(MemoryLog):
    """A memory log that notes how much was appended at a time, and can fail, or start over."""

    def __init__(self, clock: Clock, max_events: int = 10_000) -> None:
        super().__init__(clock, max_events=max_events, max_age_seconds=1e9, max_bytes=2**26)
        self.batches: list[list[Event]] = []
        self.fails_at: int | None = None
        self.before_append: Callable[[], None] = lambda: None

    def start_over(self) -> None:
        """From now on it is another history, in which there is nothing yet."""
        self._ring = type(self._ring)(max_entries=10_000, max_age_seconds=1e9, max_bytes=2**26)
        self.epoch = f"{self.epoch}x"

    async def append(self, events: Sequence[Event]) -> Appended:
        self.before_append()
        if len(self.batches) == self.fails_at:
            self.fails_at = None
            raise LogError("The log is out of reach.")
        self.batches.append(list(events))
        return await super().append(events)

    async def held(self) -> list[tuple[str, str | None]]:
        """The events that it holds: their types and ids."""
        floor = (await self.bounds()).floor
        return [(one.event.event_type, one.event.entity_id) for one in await self.read(floor, 10_000)]


class Followed:
    """A tracker before an upstream that says what it is told to."""

    def __init__(
        self,
        clock: ManualClock,
        *,
        batch_events: int = BATCH_EVENTS,
        made: MakeText | None = None,
        **settings: object,
    ) -> None:
        self.log = Log(clock)
        self.counters = RouteCounters()
        self.body: bytes | None = listed()
        self.more: tuple[bytes, ...] = ()
        self.status = 200
        self.headers: dict[str, str] = {}
        self.coded: bytes | None = None
        self.asked_with: list[Mapping[str, str]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        route = legacy_route(**{"max_delete_ratio": 1.0, **settings})
        self.items: dict[tuple[str, str], Items] = {}
        slices = Slices(clock)
        self.tracker = Tracker(
            route,
            self.log,
            self._fetch,
            clock,
            self.items,
            self.counters,
            slices,
            batch_events=batch_events,
            functions=made,
        )

    async def _fetch(self, validators: Mapping[str, str]) -> Fetched | None:
        self.meanwhile()
        self.asked_with.append(validators)
        if self.body is None:
            return None
        coding = "" if self.coded is None else "gzip"
        headers = CIMultiDictProxy(CIMultiDict(self.headers))
        return Fetched(headers, self.body, self.coded, coding, self.status, self.more)

    async def says(self, body: bytes | None, *more: bytes, status: int = 200, **headers: str) -> None:
        """The upstream says that, or with None that nothing has changed, and is polled.

        `more` are the bodies of further requests. In names of `headers` `_` stands for `-`.
        """
        self.body, self.more, self.status = body, more, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.tracker.poll()

    async def refuses(self, body: bytes, **headers: str) -> str:
        """The upstream says what can't be compared, and is polled; gives the kind of what is wrong."""
        with pytest.raises(BadAnswer) as caught:
            await self.says(body, **headers)
        return caught.value.kind

    async def after_its_cursor(self) -> list[Record]:
        """What a stream gets that resumes from the snapshot."""
        assert self.tracker.snapshot is not None
        cursor = Cursor.parse(self.tracker.snapshot.cursor)
        assert cursor is not None
        assert cursor.epoch == self.log.epoch
        return await self.log.read(cursor.position, 10_000)
