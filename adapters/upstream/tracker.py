"""Follows one upstream: asks, compares with the last good answer, publishes, and keeps the new answer."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from adapters.upstream.answer_position import Shown
from adapters.upstream.comparison import Comparison, Told, too_many_missing
from adapters.upstream.fetch import Fetched
from adapters.upstream.items import Items
from adapters.upstream.snapshot import NOT_SHARED, digest_of, end_to_end, validators_of
from gateway.core.entity_tags import is_strong
from gateway.core.events import Cursor, Event
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import Snapshot
from gateway.runtime.logs import log_event
from gateway.runtime.slices import Slices

_log = logging.getLogger(__name__)

Fetch = Callable[[Mapping[str, str]], Awaitable[Fetched | None]]
"""Asks the upstream, given the validators of a conditional request; see `adapters.upstream.fetch`."""

Publish = Callable[["ListChange"], Awaitable[str]]
"""Appends the events of a change to the log, all of them in order, and gives the cursor to which its new
answer corresponds. Raises LogError; some of the events may then have been appended."""

ItemsCache = MutableMapping[tuple[str, str], Items]
"""The items of an answer, by its route's path and its digest. It may forget any of them at any time."""

Batches = AsyncGenerator[Sequence[Event], None]

BATCH_EVENTS = 250
BATCH_BYTES = 131_072
"""How much is appended to the log at once: neither the log nor anybody who reads it is held up by a batch."""

_OFFLOAD_BYTES = 65_536
"""The digest of so many bytes takes 0.1 ms; that of more is left to a thread, which holds nobody up."""
_ATTEMPTS = 2


class ListChange(NamedTuple):
    """The events that lead from one snapshot to the next, noticed at `at_ms` (wall time).

    `batches` are the events after the first `published` ones. They are made as they are asked for, and
    always the same: they go on where a batch before them ended.
    """

    old: Snapshot
    new: Snapshot
    at_ms: int
    batches: Batches
    published: int = 0


class Tracker:
    """The last good answer of one upstream, and the events that led to it.

    `snapshot` is None until the first good answer, which is the base of all comparing and publishes nothing.
    `poll` must not run twice at once. `publish` takes what changed to the log; by default it just appends.
    """

    def __init__(
        self,
        route: LegacyRoute,
        log: EventLog,
        fetch: Fetch,
        clock: Clock,
        items: ItemsCache,
        counters: RouteCounters,
        slices: Slices,
        publish: Publish | None = None,
        *,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.unusable: Snapshot | None = None
        """The answer after `snapshot`, where that can't be compared."""
        self.pace_seconds = route.interval_seconds
        """How long after one `poll` the next is due."""
        self._route = route
        self._events_log = log
        self._fetch = fetch
        self._clock = clock
        self._items = items
        self._counters = counters
        self._slices = slices
        self._publish = publish or self._append
        self._batch_events = batch_events
        # What was still there of the old answer's items when too many were gone.
        self._held: bytes | None = None
        self._begun: ListChange | None = None
        # What every log line says of the route.
        self._fields: dict[str, object] = {"component": route.component, "path": route.path}

    @property
    def has_begun(self) -> bool:
        """Whether there is an answer already."""
        return self.snapshot is not None

    async def rest(self) -> None:
        """Nobody wants the result for now: nothing has to be done about that."""

    async def poll(self, *, fresh: bool = False) -> bool:
        """Asks the upstream once. True: `snapshot` is what it said; False: that is held until confirmed.

        `fresh` makes no difference: every answer is. Raises UpstreamError (BadAnswer among them) where the
        upstream gave nothing to use, LogError where the log did not take the events. `snapshot` is then what
        it was, and the next poll compares with it again.

        The cursor of an answer that changed nothing is the log's head from before the upstream was asked:
        what this route published is at or before it, and what others publish of this entity while the
        upstream answers may or may not be in the answer, and comes after it. `Shown` gives that of an answer
        that changed something. Where the log starts over meanwhile, the upstream is asked once more: no
        cursor of the history before is of use to anybody.
        """
        if self._begun is not None:
            await self._finish(self._begun)
        for _ in range(_ATTEMPTS):
            before = await self._head()
            taken = await self._ask(before)
            if not taken or before.epoch == self._events_log.epoch:
                break
        return taken

    async def _head(self) -> Cursor:
        while True:
            epoch = self._events_log.epoch
            head = (await self._events_log.bounds()).head
            if epoch == self._events_log.epoch:
                return Cursor(epoch, head)

    async def _ask(self, before: Cursor) -> bool:
        self._counters.polls += 1
        asked_at = self._clock.monotonic()
        old = self.snapshot
        fetched = await self._fetch(old.validators if old is not None else {})
        received_at = self._clock.monotonic()
        cursor = str(before)
        if fetched is None:
            if old is not None:
                self.snapshot = replace(old, asked_at=asked_at, received_at=received_at, cursor=cursor)
            self._counters.not_modified += 1
            self._held = None
            return True
        if len(fetched.body) <= _OFFLOAD_BYTES:
            digest = digest_of(fetched.body)
        else:
            digest = await asyncio.to_thread(digest_of, fetched.body)
        new = self._snapshot_of(fetched, digest, asked_at, received_at, cursor)
        if old is not None and old.digest == digest:
            self.snapshot = replace(new, body=old.body)
            self._counters.unchanged += 1
            self._held = None
            return True
        items = await self._read(new)
        if old is not None and not await self._follow(old, new, items):
            return False
        if old is None:
            self.snapshot = new
        # A cache refuses what is larger than itself: such items are read from the body again.
        with contextlib.suppress(ValueError):
            self._items[self._route.path, digest] = items
        return True

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of an answer that was kept, read again where nobody remembers them."""
        known = self._items.get((self._route.path, snapshot.digest))
        if known is not None:
            return known
        return await self._read(snapshot)

    async def _read(self, snapshot: Snapshot) -> Items:
        items = Items(snapshot.body, self._route)
        await self._slices.run(items.reading())
        return items

    async def _follow(self, old: Snapshot, new: Snapshot, items: Items) -> bool:
        """Publishes what leads from `old` to `new` and keeps `new`; False where that is held."""
        now_ms = self._clock.wall_ms()
        comparison = await self._compared(old, items, now_ms)
        if self._to_be_held(comparison):
            return False
        self._counters.changed += 1
        if self._route.events == "poll":
            cursor = await self._publish(ListChange(old, new, now_ms, self._batches(comparison)))
            new = replace(new, cursor=cursor)
        # Nothing was awaited since: an answer that was published must never be published again.
        self.snapshot = new
        if self._route.events == "poll":
            # Nobody else asks for these, and they keep an answer that is over.
            self._items.pop((self._route.path, old.digest), None)
        return True

    async def _append(self, change: ListChange) -> str:
        shown = self.shown(change.new)
        published = change.published
        try:
            async with contextlib.aclosing(change.batches):
                async for batch in change.batches:
                    appended = await self._events_log.append(batch)
                    published += len(batch)
                    await shown.append(appended)
        except BaseException:
            if published:
                # What is in the log already must not be published again: the rest is, before anything else.
                new = replace(change.new, cursor=str(shown.cursor))
                self._begun = change._replace(new=new, published=published)
            raise
        return str(shown.cursor)

    async def _finish(self, begun: ListChange) -> None:
        """Publishes what is left of a change of which a part was published."""
        old, new, at_ms, _, published = begun
        cursor = await self._append(await self.change(old, new, at_ms, published))
        self.adopt(replace(new, cursor=cursor))

    async def change(self, old: Snapshot, new: Snapshot, at_ms: int, published: int) -> ListChange:
        """What leads from `old` to `new`, less the first `published` events; the same wherever it is asked.

        Raises BadAnswer where one of them can't be read.
        """
        comparison = await self._compared(old, await self._read(new), at_ms)
        return ListChange(old, new, at_ms, self._batches(comparison, published), published)

    def shown(self, snapshot: Snapshot) -> Shown:
        """Where a snapshot stands in the log, before its events are appended."""
        cursor = Cursor.parse(snapshot.cursor)
        assert cursor is not None, "the gateway's own cursors can be read"
        return Shown(self._events_log, self._route.entity, cursor, self._fields)

    def adopt(self, snapshot: Snapshot | None) -> None:
        """Goes on from a snapshot that another tracker of the same upstream took, or begins anew."""
        self.snapshot = snapshot
        self._held = self._begun = None

    async def _compared(self, old: Snapshot, items: Items, now_ms: int) -> Comparison:
        base = await self.items_of(old)
        comparison = Comparison(base, items, self._route, now_ms)
        await self._slices.run(comparison.matching())
        return comparison

    async def _batches(
        self, comparison: Comparison, published: int = 0
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The comparison's events in batches, without the first `published` ones."""
        batch = _Batch(comparison.told(), published, self._batch_events)
        while not batch.is_over:
            await self._slices.run(batch.filling())
            if batch.events:
                yield batch.events
                self._counters.events += len(batch.events)
        if batch.cut_items:
            self._counters.oversized_events += batch.cut_items
            self._tell(
                logging.WARNING,
                "upstream_events_oversized",
                items=batch.cut_items,
                first=batch.first_cut,
                max_event_bytes=self._route.max_event_bytes,
            )

    def _to_be_held(self, comparison: Comparison) -> bool:
        """Whether too much is gone at once, and not yet confirmed by a second answer that lacks it too."""
        if too_many_missing(comparison, self._route) and (
            self._held is None or not comparison.lacks_too(self._held)
        ):
            self._held = comparison.kept
            self._counters.held += 1
            missing, count = comparison.missing_count, comparison.count_before
            self._tell(logging.WARNING, "upstream_deletions_held", missing=missing, items=count)
            return True
        self._held = None
        return False

    def _snapshot_of(
        self, fetched: Fetched, digest: str, asked_at: float, received_at: float, cursor: str
    ) -> Snapshot:
        old = self.snapshot
        given = fetched.headers.get("ETag", "")
        strong = is_strong(given)
        trusted = old is None or old.etags_trusted
        if (
            old is not None
            and trusted
            and strong
            and given == old.validators.get("If-None-Match")
            and digest != old.digest
        ):
            # Sent on, it would make a 304 of a change. From here on the gateway's own digests stand in.
            trusted = False
            self._counters.etags_reused += 1
            self._tell(logging.WARNING, "upstream_etag_reused")
        received = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
        validators = validators_of(fetched.headers, received)
        if not trusted:
            validators.pop("If-None-Match", None)
        own = trusted and fetched.coded is None and strong
        headers, left_out = end_to_end(fetched.headers.items(), NOT_SHARED)
        self._counters.fields_left_out += left_out
        return Snapshot(
            body=fetched.body,
            digest=digest,
            headers=headers,
            etag=given if own else f'"{digest}"',
            etags_trusted=trusted,
            validators=validators,
            asked_at=asked_at,
            received_at=received_at,
            cursor=cursor,
        )

    def _tell(self, level: int, event: str, **fields: object) -> None:
        log_event(_log, level, event, **self._fields, **fields)


class _Batch:
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
