"""Follows one upstream: asks, compares with the last good answer, publishes, and keeps the new answer."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from adapters.upstream.answer_position import Shown, head_of
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer
from adapters.upstream.long_bodies import joined
from adapters.upstream.reading.comparison import Comparison, too_many_missing
from adapters.upstream.reading.event_batches import BATCH_EVENTS, EventBatch
from adapters.upstream.reading.items import Items
from adapters.upstream.reading.json_list import sequence_of
from adapters.upstream.snapshot import Moment, digest_of, distrusted, snapshot_of, with_body_of
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
"""Asks the upstream, given the validators of a conditional request; see `adapters.upstream.asking.fetch`."""

Publish = Callable[["ListChange"], Awaitable[str]]
"""Appends the events of a change to the log, all of them in order, and gives the cursor to which its new
answer corresponds. Raises LogError; some of the events may then have been appended."""

MakeText = Callable[[Sequence[bytes], str], Awaitable[bytes]]
"""What a route's functions make of the bodies of an answer, given their content type: a JSON text that is of
the route's shape. Raises BadAnswer."""

ItemsCache = MutableMapping[tuple[str, str], Items]
"""The items of an answer, by its route's name and its digest. It may forget any of them at any time."""

Batches = AsyncGenerator[Sequence[Event], None]

_OFFLOAD_BYTES = 65_536
"""The digest of so many bytes takes 0.1 ms; that of more is left to a thread, which holds nobody up."""
_ATTEMPTS = 3


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
    `unusable` is a newer one that can't be compared (its `problem` says why), for callers to have as it came;
    None once a good one follows. Of a route with functions, `functions` makes the text of the items.
    `outdate` has it that nothing which was asked for before is taken for an answer. `tell_gap` is waited for
    before the first good answer counts, and may raise LogError.
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
        functions: MakeText | None = None,
        outdate: Callable[[], None] = lambda: None,
        tell_gap: Callable[[], Awaitable[None]] | None = None,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.unusable: Snapshot | None = None
        self.pace_seconds = route.interval_seconds
        """How long after one `poll` the next is due."""
        self._route = route
        self._events_log = log
        self._fetch = fetch
        self._clock = clock
        self._items = items
        self._counters = counters
        self._slices = slices
        self._publish = publish
        self._batch_events = batch_events
        # What was still there of the old answer's items when too many were gone.
        self._held: bytes | None = None
        self._is_doubtful = False
        self._begun: ListChange | None = None
        self._functions = functions
        self._outdate = outdate
        self._tell_gap = tell_gap
        # Of the last answer that was read: how many items were left out, and the first few of them.
        self._left_out: tuple[Counter[str], list[tuple[int, str]]] = (Counter(), [])
        # What every log line says of the route.
        self._fields: dict[str, object] = {"component": route.component, "path": route.path}

    @property
    def has_begun(self) -> bool:
        """Whether there is an answer already, be it one that can't be compared."""
        return self.snapshot is not None or self.unusable is not None

    async def rest(self) -> None:
        """Nobody wants the result for now: nothing has to be done about that."""

    async def poll(self, *, fresh: bool = False) -> bool:
        """Asks the upstream once. True: `snapshot` is what it said; False: that is held until confirmed.

        With `fresh` an answer that another route asked for before won't do. Raises UpstreamError (BadAnswer
        among them) where the upstream gave nothing to use, LogError where the log did not take the events.
        `snapshot` is then what it was, and the next poll compares with it again. Where it gave something that
        can't be compared, `unusable` is that, a new object each time.

        The cursor of an answer that changed nothing is the log's head from before the upstream was asked:
        what this route published is at or before it, and what others publish of this entity while the
        upstream answers may or may not be in the answer, and comes after it. `Shown` gives that of an answer
        that changed something. Where the log starts over meanwhile, the upstream is asked once more: no
        cursor of the history before is of use to anybody. It is too where a list in parts lacks an item,
        which may have moved from one part to another between two requests.
        """
        if fresh:
            self._outdate()
        if self._begun is not None:
            await self._finish(self._begun)
        for attempts_left in reversed(range(_ATTEMPTS)):
            before = await head_of(self._events_log)
            taken = await self._ask(before)
            if self._is_doubtful and attempts_left:
                self._outdate()
            elif not taken or before.epoch == self._events_log.epoch:
                break
        return taken

    async def _ask(self, before: Cursor) -> bool:
        self._is_doubtful = False
        fetched, moment = await self._answer(before)
        old = self.snapshot
        if fetched is None:
            if old is not None:
                self._keep(moment.on(old))
            self._counters.not_modified += 1
            self._held = None
            return True
        digest = await _digest(fetched, self._route)
        is_trusted = self._trusted(fetched, digest)
        new, left_out = snapshot_of(fetched, digest, self._route, moment, is_trusted=is_trusted)
        self._counters.fields_left_out += left_out
        if fetched.problem is not None:
            raise self._unusable(new, fetched.problem.with_traceback(None))
        if old is not None and old.digest == digest:
            self._keep(with_body_of(old, new))
            self._counters.unchanged += 1
            self._held = None
            return True
        try:
            new = replace(new, text=await self._text(fetched))
            items = None if self._route.events == "none" else await self._read(new)
        except BadAnswer as error:
            raise self._unusable(new, error) from error.__cause__
        if items is None:
            self._counters.changed += old is not None
            self._keep(new)
            return True
        self._name_bad_ones(items)
        if old is None:
            if self._tell_gap is not None:
                # Whoever then asks for the state gets no older one than the next comparison begins with.
                await self._tell_gap()
            self._keep(new)
        elif not await self._follow(old, new, items):
            return False
        # A cache refuses what is larger than itself: such items are read from the body again.
        with contextlib.suppress(ValueError):
            self._items[self._route.name, digest] = items
        return True

    async def _answer(self, before: Cursor) -> tuple[Fetched | None, Moment]:
        """What the upstream says, and of which moment that is: another route may have asked it before."""
        fetched, asked_at = None, self._clock.monotonic()
        try:
            # Of the last good answer also while there is a newer one that can't be compared: a 304 says that
            # all is as it was then.
            fetched = await self._fetch(self.snapshot.validators if self.snapshot is not None else {})
        finally:
            asked = None if fetched is None else fetched.asked
            self._counters.polls += asked is None
        if asked is not None:
            return fetched, Moment(*asked)
        return fetched, Moment(asked_at, self._clock.monotonic(), self._clock.wall_ms(), str(before))

    def _keep(self, snapshot: Snapshot) -> None:
        """From now on this is the last answer, and a good one."""
        self.snapshot, self.unusable = snapshot, None

    def _unusable(self, snapshot: Snapshot, problem: BadAnswer) -> BadAnswer:
        """From now on callers get this one, for the last good answer is no longer the last."""
        self.unusable = replace(snapshot, problem=problem.kind)
        problem.is_kept = True
        return problem

    async def _text(self, fetched: Fetched) -> bytes | None:
        """What the items are read from, where that is not the one body."""
        # Of a first answer that is empty by its status there are no items, be there others.
        bodies = (fetched.body, *fetched.more) if fetched.status == 200 else fetched.more
        if self._route.functions and bodies:
            assert self._functions is not None, "a route with functions has what runs them"
            return await self._functions(bodies, fetched.headers.get("Content-Type", ""))
        return await joined(sequence_of(bodies)) if fetched.more else None

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of an answer that was kept, read again where nobody remembers them.

        Whatever the route's `events` are. Raises BadAnswer where they can't be read, as of a route that makes
        no events.
        """
        known = self._items.get((self._route.name, snapshot.digest))
        if known is not None:
            return known
        return await self._read(snapshot)

    async def _read(self, snapshot: Snapshot) -> Items:
        text = snapshot.body if snapshot.text is None else snapshot.text
        if snapshot.made_by != self._route.functions.names:
            text = await self._made_anew(snapshot)
        is_empty = snapshot.status != 200 and snapshot.text is None
        items = Items(text, self._route, is_empty=is_empty)
        await self._slices.run(items.reading())
        return items

    async def _made_anew(self, snapshot: Snapshot) -> bytes:
        """What the items of an answer are read from that was read under other functions, by another process.

        Raises BadAnswer where only what those made of it is left.
        """
        if self._route.is_in_parts:
            raise BadAnswer("functions", "Other functions read the upstream's last answer.")
        if self._functions is None:
            return snapshot.body
        return await self._functions((snapshot.body,), snapshot.headers.get("Content-Type", ""))

    async def _follow(self, old: Snapshot, new: Snapshot, items: Items) -> bool:
        """Publishes what leads from `old` to `new` and keeps `new`; False where that is held."""
        now_ms = self._clock.wall_ms()
        try:
            base = await self.items_of(old)
        except BadAnswer as error:
            # It was read under other settings, by the process before: nothing can be compared with it.
            self._tell(logging.ERROR, "upstream_base_lost", digest=old.digest, kind=error.kind)
            self._keep(new)
            return True
        comparison = await self._compared(base, items, now_ms)
        if self._to_be_held(comparison):
            self.unusable = None
            return False
        self._counters.changed += 1
        if self._route.events == "poll":
            # A tracker that is dropped takes its answer along at once, for it holds no method of its own.
            publish = self._publish or self._append
            cursor = await publish(ListChange(old, new, now_ms, self._batches(comparison)))
            new = replace(new, cursor=cursor)
        # Nothing was awaited since: an answer that was published must never be published again.
        self._keep(new)
        if self._route.events == "poll":
            # Nobody else asks for these, and they keep an answer that is over.
            self._items.pop((self._route.name, old.digest), None)
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
        comparison = await self._compared(await self.items_of(old), await self._read(new), at_ms)
        return ListChange(old, new, at_ms, self._batches(comparison, published), published)

    def shown(self, snapshot: Snapshot) -> Shown:
        """Where a snapshot stands in the log, before its events are appended."""
        cursor = Cursor.parse(snapshot.cursor)
        assert cursor is not None, "the gateway's own cursors can be read"
        return Shown(self._events_log, self._route.entity, cursor, self._fields)

    def adopt(self, snapshot: Snapshot | None, unusable: Snapshot | None = None) -> None:
        """Goes on from what another tracker of the same upstream took, or begins anew."""
        self.snapshot, self.unusable = snapshot, unusable
        self._held = self._begun = None

    async def _compared(self, base: Items, items: Items, now_ms: int) -> Comparison:
        comparison = Comparison(base, items, self._route, now_ms)
        await self._slices.run(comparison.matching())
        return comparison

    async def _batches(
        self, comparison: Comparison, published: int = 0
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The comparison's events in batches, without the first `published` ones."""
        batch = EventBatch(comparison.told(), published, self._batch_events)
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
        """Whether what is gone is not yet confirmed by a second answer that lacks it too.

        That is asked for where too much is gone at once, and where an item of a list in parts is.
        """
        too_many = too_many_missing(comparison, self._route)
        is_doubtful = self._route.is_in_parts and comparison.missing_count > 0
        is_confirmed = self._held is not None and comparison.lacks_too(self._held)
        if is_confirmed or not (too_many or is_doubtful):
            self._held = None
            return False
        self._held = comparison.kept
        self._is_doubtful = not too_many
        if too_many:
            self._counters.held += 1
            missing, count = comparison.missing_count, comparison.count_before
            self._tell(logging.WARNING, "upstream_deletions_held", missing=missing, items=count)
        return True

    def _trusted(self, fetched: Fetched, digest: str) -> bool:
        """Whether the upstream's entity tags still tell its bodies apart."""
        known = [one for one in (self.snapshot, self.unusable) if one is not None]
        if not all(one.etags_trusted for one in known):
            return False
        given = fetched.headers.get("ETag", "")
        again = [one for one in known if one.validators.get("If-None-Match") == given != ""]
        if not is_strong(given) or all(one.digest == digest for one in again):
            return True
        # Sent on, it would make a 304 of a change. From here on the gateway's own digests stand in.
        self._counters.etags_reused += 1
        self._tell(logging.WARNING, "upstream_etag_reused")
        self.snapshot = None if self.snapshot is None else distrusted(self.snapshot)
        return False

    def _name_bad_ones(self, items: Items) -> None:
        """Counts what was left out of an answer, and says so where it is not what was left out before."""
        self._counters.bad_items.update(items.bad)
        before, self._left_out = self._left_out, (items.bad, items.bad_ones)
        if items.bad and self._left_out != before:
            first = [{"item": index, "kind": kind} for index, kind in items.bad_ones]
            self._tell(logging.WARNING, "upstream_items_left_out", kinds=dict(items.bad), first=first)

    def _tell(self, level: int, event: str, **fields: object) -> None:
        log_event(_log, level, event, **self._fields, **fields)


async def _digest(fetched: Fetched, route: LegacyRoute) -> str:
    if len(fetched.body) + sum(map(len, fetched.more)) <= _OFFLOAD_BYTES:
        return digest_of(fetched, route)
    return await asyncio.to_thread(digest_of, fetched, route)
