"""Does push say the same as polling? Pushed events are folded into state and compared with polled answers.

Pure: time comes in, in monotonic seconds. One `Parity` is for one polled list of one entity type.

What makes this harder than it sounds, and the rule for each:

- **Neither side is ever exactly at the same moment.** A polled answer has the cursor that the log had before
  the upstream was asked; it may hold what was pushed after that, and it may be staler than that (a cache).
  Push tells a change some time after, or before, polling shows it. Both may take one settle window. So an
  answer agrees with push where it shows what push says, or said within the last settle window; and any other
  difference stays open until an event explains it (`push_behind`), or a later answer agrees.
- **A difference counts when a second answer, asked a settle window after the first, still shows it,** and no
  event for the entity has come in between. Where one has come, the entity is in motion: the difference
  begins anew, and what was left open is `incomparable`. Where polling shows another state than the first
  time, though no event came, a third answer decides.
- **An entity that nobody touched proves nothing.** A list of 10,000 orders of which ten changed would show
  99.9 % with push dead. An agreement counts once for each change that push told; a difference that was
  settled counts in every later answer that shows it again, until it is gone.
- **In the beginning nothing is known.** The first answer asked a settle window after the fold began gives the
  unknown entities their state; one asked earlier could miss a change whose event came before the beginning.
- **Push that is made from the very poll agrees with it by construction:** `incomparable`, never 100 %.

A correct push, full states in order and within the settle window, is so never counted against. A lost,
repeated, misplaced or altered event that leaves an entity in another state than polling shows is counted once
the entity has been at rest for some settle windows. A repeated one is counted even where it did no harm; so
is a write that changed nothing, where the publisher tells it again without a `previous` that says so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import orjson

from flags.parity.canonical import (
    MAX_DIFFERENCES,
    STRICT,
    ComparisonRules,
    Difference,
    canonical,
    differences,
)
from flags.parity.fold import ABSENT, Fold, KnownEntity, Position, PushedEvent
from flags.parity.noise import Noise
from flags.parity.report import Outcome, ParityCounts, ParityReport, Reason, Tally

LATE_AFTER = 3
"""Settle windows after which an answer is too old to be compared. What push said one window before it was
asked must still be remembered: `flags.parity.fold.RETENTION` is one more."""

_OPEN_BYTES = 500
_MAX_CLASSIFIED = 32
"""In how many places of one item the kinds of differences are looked for: a name has two, far apart."""


@dataclass(frozen=True, slots=True)
class PolledAnswer:
    """An upstream's answer: its items by key, each as JSON, and the log's position before it was asked.

    `unread` says whether it has an item with a key that is none of them, for it can't be read.
    """

    cursor: Position
    asked_at: float
    received_at: float
    items: Mapping[str, bytes]
    unread: Callable[[str], bool] = lambda key: False


@dataclass(slots=True)
class _Open:
    """A difference between push and the answer of `since` that showed `polled` (ABSENT: not there).

    `moved` says that an event for the entity came since; `again` that a later answer showed yet another
    state; `counted` that it was settled.
    """

    polled: bytes
    since: float
    kind: Outcome
    moved: bool = False
    again: bool = False
    counted: bool = False


class Parity:
    """Compares the events of `entity_type` with the polled list of the same.

    `now` and `position` are where the fold begins: every later event is handed to `applying`, in the log's
    order. `merge` is for publishers whose updates hold only what changed (`Fold`). `keep_values`
    keeps a few differences with their entity and values; else only pointers are kept. `same_source` says
    that push is made from this poll. Memory is bounded by about `max_bytes`: beyond it only a share of the
    entities is tracked, the others being `incomparable`.
    """

    def __init__(
        self,
        entity_type: str,
        rules: ComparisonRules,
        settle_seconds: float,
        position: Position,
        now: float,
        *,
        merge: bool = False,
        same_source: bool = False,
        keep_values: bool = False,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._rules = rules
        self._settle = settle_seconds
        self._merge = merge
        self._same_source = same_source
        self._keep_values = keep_values
        self._max_bytes = max_bytes
        self._fold = Fold(rules, settle_seconds, position, now, merge=merge)
        self._earlier_broken_chains = 0
        self._open: dict[str, _Open] = {}
        self._open_bytes = 0
        self._counts = ParityCounts(entity_type)
        self._noise = Noise(rules)

    @property
    def position(self) -> Position:
        """Up to where the log has been handed in."""
        return self._fold.position

    def restarting(self, position: Position, now: float) -> Iterator[None]:
        """Begins the fold anew, in steps as `comparing`.

        Events were missed, or push was mended and its past is not to count on.
        """
        self._earlier_broken_chains += self._fold.broken_chains
        ended, self._fold = self._fold, Fold(self._rules, self._settle, position, now, merge=self._merge)
        yield from ended.ending()
        for key in list(self._open):
            self._drop_incomparable(key, Reason.RESTARTED)
            yield

    def advance(self, position: Position) -> None:
        """Says that the log has been read up to `position`: what came in between was of other entities."""
        self._fold.advance(position)

    def applying(self, event: PushedEvent, now: float) -> Iterator[None]:
        """Takes the next event of the log, in steps as `comparing`; hardly ever more than one.

        Raises TypeError where its data can't be written as JSON.
        """
        if self._same_source:
            self._fold.advance(event.position)
            return
        entity = self._fold.apply(event, now)
        difference = self._open.get(event.entity_id)
        if entity is not None and difference is not None:
            difference.moved = True
            if entity.state is not None and self._agreement(entity.state, difference.polled) is not None:
                is_counted = self._explained(event.entity_id, now)
                entity.touched = entity.fault is not None or not is_counted
        yield from self._fitting()

    @property
    def next_sample_at(self) -> float | None:
        """From when on an answer is to be taken, whatever its turn: asked for then, it settles something.

        That is a difference, or what the entities were before push told of them. None: nothing is to settle.
        It only changes where an answer is compared, or the fold begins anew, but for getting later.
        """
        if self._same_source:
            return None
        open_since = (difference.since for difference in self._open.values() if not difference.counted)
        since = min(open_since, default=None)
        if not self._fold.based:
            since = self._fold.started_at if since is None else min(since, self._fold.started_at)
        return None if since is None else since + self._settle

    def comparing(self, answer: PolledAnswer, now: float) -> Iterator[None]:
        """Compares one polled answer, in steps, one an entity, so that the caller can let others run between.

        Answers come in the order in which they were asked for. The fold must have reached the answer's cursor
        (`position`), else push would be blamed for the reader's own lag: ValueError. ValueError also where an
        item is no JSON. To be run to its end before anything but `report` is called.
        """
        if self._fold.position < answer.cursor:
            raise ValueError("the fold has not reached the answer's cursor")
        self._counts.samples += 1
        if self._same_source:
            self._counts.count_incomparable(Reason.SAME_SOURCE, len(answer.items))
        elif now - answer.asked_at > LATE_AFTER * self._settle:
            self._counts.count_incomparable(Reason.LATE_ANSWER, len(answer.items))
        else:
            yield from self._compare_items(answer, now)
            yield from self._fold.forgetting_old(now)
            yield from self._fitting()

    def comparing_polls(self, first: PolledAnswer, second: PolledAnswer) -> Iterator[None]:
        """Compares two answers with one another, for the noise floor, in steps as `comparing`.

        Nothing is compared where they were asked for more than a settle window apart. Entities that push
        touched from a settle window before the first on are left out.
        """
        if not self._are_close(first, second):
            return
        horizon = first.asked_at - self._settle

        def changed(key: str) -> bool:
            entity = self._fold.entities.get(key)
            return entity is not None and entity.from_push and entity.changed_at >= horizon

        yield from self._noise.observing(first.items, second.items, changed)

    def drain(self) -> Tally:
        """What was counted since the last call: what the guard's windows are fed with."""
        return self._counts.drain()

    def report(self, dropped: int = 0) -> ParityReport:
        """The figures since the beginning; `dropped` answers were taken, and lost before they got here."""
        standing = sum(difference.counted for difference in self._open.values())
        return replace(
            self._counts.report(),
            dropped=dropped,
            pending=len(self._open) - standing,
            standing=standing,
            broken_chains=self._earlier_broken_chains + self._fold.broken_chains,
            tracked_share=self._fold.share,
            noise_floor=self._noise.floor(),
        )

    def _are_close(self, first: PolledAnswer, second: PolledAnswer) -> bool:
        return 0 <= second.asked_at - first.asked_at <= self._settle

    def _compare_items(self, answer: PolledAnswer, now: float) -> Iterator[None]:
        fold = self._fold
        base = not fold.based and self._may_adopt(answer, fold.started_at)
        for key, raw in answer.items.items():
            if fold.tracks(key):
                self._compare_item(key, raw, answer, now, base=base)
            else:
                self._counts.count_incomparable(Reason.OUT_OF_MEMORY)
            yield
        for key in list(fold.entities):
            if key not in answer.items:
                self._compare_missing(key, answer, now, base=base)
            yield
        for key in list(self._open):
            if key not in fold.entities and key not in answer.items:
                self._compare_missing(key, answer, now, base=base)
            yield
        fold.based = fold.based or base

    def _compare_item(self, key: str, raw: bytes, answer: PolledAnswer, now: float, *, base: bool) -> None:
        entity, digest = self._fold.entities.get(key), hash(raw)
        if entity is not None and entity.polled == digest and not entity.touched and key not in self._open:
            self._counts.unchanged += raw != ABSENT
            return
        polled = canonical(orjson.loads(raw), self._rules) if raw else ABSENT
        state = self._fold.state_of(key)
        if state is None:
            self._compare_unknown(key, polled, answer, now, base=base)
            return
        agreement = self._agreement(state, polled)
        if agreement is not None and entity is not None:
            entity.polled = digest
            if entity.changed_at > answer.received_at:
                agreement = Outcome.PUSH_BEHIND
        elif agreement is None and entity is not None:
            agreement = self._earlier_agreement(entity, polled, answer)
        if agreement is not None:
            self._agrees(key, entity, agreement)
        else:
            self._differs(key, state, polled, answer)

    def _compare_missing(self, key: str, answer: PolledAnswer, now: float, *, base: bool) -> None:
        if answer.unread(key):
            self._counts.count_incomparable(Reason.UNREAD)
            self._drop_incomparable(key, Reason.UNREAD)
        else:
            self._compare_item(key, ABSENT, answer, now, base=base)

    def _compare_unknown(
        self, key: str, polled: bytes, answer: PolledAnswer, now: float, *, base: bool
    ) -> None:
        entity = self._fold.entities.get(key)
        adopts = base if entity is None else self._may_adopt(answer, entity.changed_at)
        if adopts:
            self._fold.adopt(key, polled, now)
        reason = Reason.NO_BASE if entity is None else Reason.NO_STATE
        self._counts.count_incomparable(reason)
        self._drop_incomparable(key, reason)

    def _may_adopt(self, answer: PolledAnswer, unknown_since: float) -> bool:
        """Whether the answer shows everything that push told up to `unknown_since`, however stale it is."""
        return answer.asked_at >= unknown_since + self._settle

    def _agreement(self, pushed: bytes, polled: bytes) -> Outcome | None:
        """`match`, `ignored`, or None where the two states differ."""
        if pushed == polled:
            return Outcome.MATCH
        if not pushed or not polled or differences(pushed, polled, self._rules, limit=1):
            return None
        return Outcome.IGNORED if differences(pushed, polled, STRICT, limit=1) else Outcome.MATCH

    def _earlier_agreement(self, entity: KnownEntity, polled: bytes, answer: PolledAnswer) -> Outcome | None:
        """How the answer agrees with what push said when it was asked for, or a settle window before."""
        for version in reversed(entity.versions):
            if version.superseded_at < answer.asked_at - self._settle:
                return None
            agreement = self._agreement(version.state, polled)
            if agreement is not None:
                return agreement if version.superseded_at >= answer.asked_at else Outcome.PUSH_AHEAD
        return None

    def _agrees(self, key: str, entity: KnownEntity | None, agreement: Outcome) -> None:
        difference = self._drop(key)
        if difference is not None and not difference.counted:
            self._counts.count(Outcome.PUSH_BEHIND if difference.moved else Outcome.PUSH_AHEAD)
        if entity is not None and entity.touched:
            self._counts.count(Outcome(entity.fault) if entity.fault is not None else agreement)
            entity.touched, entity.fault = False, None
        elif difference is None:
            self._counts.unchanged += 1

    def _differs(self, key: str, state: bytes, polled: bytes, answer: PolledAnswer) -> None:
        entity = self._fold.entities.get(key)
        if entity is not None:
            entity.touched = False
        known = self._open.get(key)
        if known is not None and not known.counted and answer.asked_at < known.since + self._settle:
            return
        kind, found = self._describe(state, polled)
        pointers = {place.pointer for place in found[:MAX_DIFFERENCES]}
        fresh = _Open(polled, answer.received_at, kind)
        fresh.moved = entity is not None and entity.changed_at > answer.received_at
        if known is not None and not known.moved:
            same = self._agreement(known.polled, polled) is not None
            fresh.again = True
            fresh.counted = same or known.again or known.counted
            if fresh.counted:
                noisy = not same and self._is_noise(known.polled, polled, pointers)
                fresh.kind = known.kind if known.counted else self._blamed(key, entity, fresh)
                self._counts.count(fresh.kind, pointers, noisy=noisy)
                if kind is Outcome.MISMATCH:
                    self._counts.classify(found)
                if self._keep_values:
                    self._counts.keep(key, found[:MAX_DIFFERENCES])
        elif known is not None and not known.counted:
            self._counts.count_incomparable(Reason.IN_MOTION)
        self._put(key, fresh)

    def _blamed(self, key: str, entity: KnownEntity | None, difference: _Open) -> Outcome:
        fault = self._fold.blame(key, difference.polled)
        if entity is not None:
            entity.fault = None
        return difference.kind if fault is None else Outcome(fault)

    def _describe(self, state: bytes, polled: bytes) -> tuple[Outcome, list[Difference]]:
        if not state or not polled:
            return Outcome.EXTRA if state else Outcome.MISSING, [Difference("", None, None)]
        return Outcome.MISMATCH, differences(state, polled, self._rules, limit=_MAX_CLASSIFIED)

    def _is_noise(self, earlier: bytes, polled: bytes, pointers: set[str]) -> bool:
        """Whether polling disagrees with itself in every place in which it disagrees with push."""
        _, between = self._describe(earlier, polled)
        return pointers <= {place.pointer for place in between}

    def _explained(self, key: str, now: float) -> bool:
        """An event has told what polling had shown; says whether that was counted as an agreement.

        Later than a settle window, and with no answer in between, it proves nothing: the entity may have come
        back to that state.
        """
        difference = self._drop(key)
        if difference is None or difference.counted:
            return False
        lag_seconds = now - difference.since
        if lag_seconds > self._settle:
            self._counts.count_incomparable(Reason.IN_MOTION)
            return False
        self._counts.count(Outcome.PUSH_BEHIND)
        self._counts.lag(lag_seconds * 1000)
        return True

    def _drop_incomparable(self, key: str, reason: Reason) -> None:
        difference = self._drop(key)
        if difference is not None and not difference.counted:
            self._counts.count_incomparable(reason)

    def _put(self, key: str, difference: _Open) -> None:
        self._drop(key)
        self._open[key] = difference
        self._open_bytes += len(difference.polled) + _OPEN_BYTES

    def _drop(self, key: str) -> _Open | None:
        difference = self._open.pop(key, None)
        if difference is not None:
            self._open_bytes -= len(difference.polled) + _OPEN_BYTES
        return difference

    def _fitting(self) -> Iterator[None]:
        """Keeps the memory within its bound, by dropping half of the entities as often as it takes."""
        while self._fold.size + self._open_bytes > self._max_bytes and (yield from self._fold.halving()):
            for key in list(self._open):
                if not self._fold.tracks(key):
                    self._drop_incomparable(key, Reason.OUT_OF_MEMORY)
                yield
