"""Who was there of late, on which side, and what went wrong for whom: a bounded sample of callers. Pure.

The unit of evidence is the caller, not the request: whoever asks a thousand times is one. Kept are those
whose number, a hash, falls under a bound that is halved whenever a side has too many, and doubled again once
it has few: a uniform sample of all callers, and the same one on every node, so that nodes can add up what
they saw and count nobody twice (adaptive sampling: Flajolet, "On Adaptive Sampling", Computing 43, 1990).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

from flags.guard.marks import NEVER, Marks
from flags.guard.who import Who
from flags.guard.windows import SLOTS

SAMPLED = 2048
"""How many callers of a side are kept at most."""
CALLERS_AN_ADDRESS = 50
"""How many callers without a proven name one address may be in a window: people behind one proxy, and not a
crowd that somebody makes up."""
_MOST_ADDRESSES = 10_000
_NUMBER_BYTES = 5
MOST_LEVEL = 8 * _NUMBER_BYTES
"""At this level nobody is left but number 0."""
_NEVER = -math.inf


class Side(IntEnum):
    """How it was decided for a caller: by chance, so that the two sides can be compared, or otherwise."""

    CONTROL = 0
    TREATED = 1
    POLLING = 2
    STREAMING = 3


STREAMED = frozenset({Side.TREATED, Side.STREAMING})


@dataclass(slots=True, eq=False)
class _Caller:
    """When something was seen of one caller last, in monotonic seconds.

    `asked_at` is its last answered poll. Of its open streams, `acknowledged` have been; after a reset they
    count again from the next window on.
    """

    number: int
    tag: int
    side: Side
    seen_at: float
    failed_at: float = _NEVER
    began_at: float = _NEVER
    mute_at: float = _NEVER
    fell_back_at: float = _NEVER
    reset_at: float = _NEVER
    asked_at: float = _NEVER
    open: int = 0
    acknowledged: int = 0
    decided_by: object = None


class CallerTable:
    """The callers of one component in the last `seconds`. Methods take monotonic seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._callers: dict[str, _Caller] = {}
        self._sizes = dict.fromkeys(Side, 0)
        self.levels = dict.fromkeys(Side, 0)
        self._levels_until = dict.fromkeys(Side, _NEVER)
        self._addresses: dict[str, set[str]] = {}
        self._addresses_until = _NEVER
        self._crowded_at = _NEVER

    def __len__(self) -> int:
        return len(self._callers)

    def take_streams(self, before: "CallerTable") -> None:
        """Begins with the callers of another table whose streams are open, as open and acknowledged as they
        are."""
        for key, caller in before._callers.items():
            if caller.open:
                taken = _Caller(caller.number, caller.tag, caller.side, caller.seen_at)
                taken.open, taken.acknowledged = caller.open, caller.acknowledged
                self._callers[key] = taken
                self._sizes[caller.side] += 1
        self.levels = dict(before.levels)

    def is_crowded(self, now: float) -> bool:
        """Whether of late an address had more callers than count."""
        return now - self._crowded_at <= self._seconds

    def polled(
        self, who: Who, side: Side, now: float, *, failed: bool, decided_by: object = None
    ) -> float | None:
        """One answer to a poll. Gives when this caller was answered before, where that is known."""
        caller = self._find(who, side, now)
        if caller is None:
            return None
        caller.decided_by = decided_by
        return _polled(caller, now, failed)

    def polled_again(
        self, key: str, now: float, *, failed: bool, decided_by: object
    ) -> tuple[Side, float | None] | None:
        """The same of a caller that is kept, and whose side was found by this flag: its side too.

        None where it is not, and has to be looked for.
        """
        caller = self._callers.get(key)
        if caller is None or caller.decided_by is not decided_by:
            return None
        return caller.side, _polled(caller, now, failed)

    def opened(self, who: Who, side: Side, now: float) -> None:
        """A stream of this caller was opened."""
        caller = self._find(who, side, now)
        if caller is not None:
            caller.seen_at = now
            caller.open += 1

    def closed(self, who: Who, now: float) -> None:
        """A stream that was opened is over. Of a caller's streams the acknowledged are taken to stay
        longest."""
        caller = self._callers.get(who.key)
        if caller is None:
            return
        caller.open = max(0, caller.open - 1)
        caller.seen_at = now
        if caller.acknowledged:
            caller.began_at = now
            caller.acknowledged = min(caller.acknowledged, caller.open)

    def acknowledged(self, who: Who, now: float) -> None:
        """The client of an open stream has seen its first event."""
        caller = self._callers.get(who.key)
        if caller is not None:
            caller.began_at = now
            caller.acknowledged = min(caller.open, caller.acknowledged + 1)

    def mute(self, who: Who, now: float) -> None:
        """The client of a stream saw no first event in time."""
        caller = self._callers.get(who.key)
        if caller is not None:
            caller.mute_at = now

    def fell_back(self, who: Who, now: float, *, is_open: bool = False) -> None:
        """The client of a stream went back to polling; `is_open`: of one that is acknowledged, and open here.

        Something in between may hold it open: it is no success any more.
        """
        caller = self._callers.get(who.key)
        if caller is not None:
            caller.fell_back_at = now
            caller.acknowledged -= is_open and caller.acknowledged > 0

    def blocked(self, who: Who, now: float) -> None:
        """A client could open no stream."""
        caller = self._find(who, Side.STREAMING, now, keeps_side=True)
        if caller is not None:
            caller.seen_at = caller.fell_back_at = now

    def lost(self, who: Who, now: float) -> None:
        """A stream was reset: what its client missed has to be fetched anew."""
        caller = self._callers.get(who.key)
        if caller is not None:
            caller.reset_at = now

    def marks(self, start: float, now: float) -> Iterator[tuple[Side, int, Marks]]:
        """Each caller that was seen in the last `seconds`, and at `start` or later: its side, number and
        marks.

        Forgets the callers from before the window.
        """
        since, slots = now - self._seconds, SLOTS / self._seconds
        first = max(since, start)
        for key, caller in tuple(self._callers.items()):
            if caller.open:
                caller.seen_at = now
                if caller.acknowledged and caller.reset_at <= since:
                    caller.began_at = now
            seen_at = caller.seen_at
            if seen_at < first:
                if seen_at <= since:
                    self._drop(key)
                continue
            # Written out: a second's work for thousands of callers.
            marks = Marks(
                caller.tag,
                int((now - seen_at) * slots),
                int((now - at) * slots) if (at := caller.failed_at) >= first else NEVER,
                int((now - at) * slots) if (at := caller.began_at) >= first else NEVER,
                int((now - at) * slots) if (at := caller.mute_at) >= first else NEVER,
                int((now - at) * slots) if (at := caller.fell_back_at) >= first else NEVER,
            )
            yield caller.side, caller.number, marks
        self._take_more(now)

    def _find(self, who: Who, side: Side, now: float, *, keeps_side: bool = False) -> _Caller | None:
        """The caller's entry, made where it is to be kept; None for one that is not."""
        caller = self._callers.get(who.key)
        if caller is not None:
            if caller.side is side or keeps_side:
                return caller
            if not is_sampled(caller.number, self.levels[side]):
                self._drop(who.key)
                return None
            self._sizes[caller.side] -= 1
            self._sizes[side] += 1
            caller.side = side
            self._make_room(side, now)
            return caller
        number = number_of(who.key)
        if not is_sampled(number, self.levels[side]) or not self._admits(who, now):
            return None
        caller = self._callers[who.key] = _Caller(number, tag_of(who.address), side, now)
        self._sizes[side] += 1
        self._make_room(side, now)
        return caller if who.key in self._callers else None

    def _admits(self, who: Who, now: float) -> bool:
        """Whether one more caller of this address counts in this window."""
        if who.address is None:
            return True
        if now >= self._addresses_until:
            self._addresses.clear()
            self._addresses_until = now + self._seconds
        keys = self._addresses.get(who.address)
        if keys is None:
            if len(self._addresses) >= _MOST_ADDRESSES:
                self._crowded_at = now
                return False
            keys = self._addresses[who.address] = set()
        if len(keys) >= CALLERS_AN_ADDRESS and who.key not in keys:
            self._crowded_at = now
            return False
        keys.add(who.key)
        return True

    def _make_room(self, side: Side, now: float) -> None:
        while self._sizes[side] > SAMPLED:
            self.levels[side] += 1
            self._levels_until[side] = now + self._seconds
            for key, caller in tuple(self._callers.items()):
                if caller.side is side and not is_sampled(caller.number, self.levels[side]):
                    self._drop(key)

    def _take_more(self, now: float) -> None:
        """Halves no longer what a side has few of: a peak must not leave a part of a part for good.

        Once a window, for those whom the level before left out are not there at once.
        """
        for side, level in self.levels.items():
            if level and self._sizes[side] <= SAMPLED // 4 and now >= self._levels_until[side]:
                self.levels[side] = level - 1
                self._levels_until[side] = now + self._seconds

    def _drop(self, key: str) -> None:
        self._sizes[self._callers.pop(key).side] -= 1


def _polled(caller: _Caller, now: float, failed: bool) -> float | None:
    caller.seen_at = now
    if failed:
        caller.failed_at = now
        return None
    if caller.side not in STREAMED:
        # Whoever polls has begun with its first answer; whoever is to stream has not.
        caller.began_at = now
    before, caller.asked_at = caller.asked_at, now
    return None if before == _NEVER else before


def number_of(key: str) -> int:
    """A caller's number: the same on every node, and nothing that its bucket tells
    (flags/decide/rollout.py)."""
    return int.from_bytes(blake2b(key.encode(), digest_size=_NUMBER_BYTES, person=b"guard").digest())


def tag_of(address: str | None) -> int:
    """A short name of an address, 1 to 65,535, by which nodes see that callers share one; 0 for none."""
    if address is None:
        return 0
    return 1 + int.from_bytes(blake2b(address.encode(), digest_size=4, person=b"guard").digest()) % 0xFFFF


def is_sampled(number: int, level: int) -> bool:
    """Whether a caller is among the sample of this level: one of two to the power of `level`."""
    return number & ((1 << level) - 1) == 0
