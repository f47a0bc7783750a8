"""The states that somebody asks for: each read once for all who ask for the same at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter
from weakref import finalize

from cachetools import TTLCache

from gateway.core.errors import ClientError, LogError
from gateway.core.events import Cursor
from gateway.core.history import History
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.replay.resume import Place
from gateway.delivery.state.parts import PartsBuilder, StateParts
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.whole import WholeStates
from gateway.ports.clock import Clock
from gateway.ports.state import StateReading, StateSource, StateUnknown
from gateway.runtime.slices import Slices

_MOST_TOO_LARGE = 1024
RETRY_SECONDS = 1
"""What whoever asks for a state that is not known yet is told to wait."""


class NoSuchState(ClientError):
    """Nothing tells the state of what is asked for."""

    status = 404
    slug = "no-such-state"
    title = "Nothing knows this state"


class _Asking:
    """Those who wait for the answer to one question. `begun` and `ended` count the readings.

    `answer` is that of the last one, which was the one of number `answered`. Types that are read whole are to
    be of a reading after `whole_after`.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.begun = 0
        self.ended = 0
        self.answered = 0
        self.whole_after = 0
        self.answer: StateParts | StateUnknown | NoSuchState | None = None


class SharedStates:
    """Asks `source`, and keeps what was answered while there is room for it.

    `place_of` finds where a stream with a cursor goes on (gateway/delivery/replay/resume.py). What is kept is
    given again while a stream can go on from its cursor, and the source says that it has not changed, or was
    asked just now. Long work takes its turns in `slices`.
    """

    def __init__(
        self,
        source: StateSource,
        place_of: Callable[[str], Awaitable[Place]],
        history: History,
        clock: Clock,
        slices: Slices,
        pace: Pace = USUAL,
    ) -> None:
        self._source = source
        self._wholes = WholeStates(source, clock, slices, pace)
        self._place_of = place_of
        self._history = history
        self._clock = clock
        self._slices = slices
        self._pace = pace
        self._turn = asyncio.Semaphore(pace.state_reads_at_once)
        self._asked: dict[StateQuestion, _Asking] = {}
        self._kept: TTLCache[StateQuestion, StateParts] = TTLCache(
            pace.state_kept_bytes, pace.state_kept_seconds, clock.monotonic, attrgetter("size")
        )
        self._too_large: TTLCache[StateQuestion, str] = TTLCache(
            _MOST_TOO_LARGE, pace.state_too_large_seconds, clock.monotonic
        )
        self._bytes = 0
        self.reads = 0
        """How many states were read and encoded."""
        self.failures = 0
        """How often one could not be."""

    @property
    def bytes(self) -> int:
        """What all states take: those that are kept for whoever asks next, and those that are being sent."""
        self._kept.expire()
        return self._wholes.bytes + self._bytes

    def knows(self, question: StateQuestion) -> bool:
        """Whether there is somebody to ask, for each of its types, and it was not too large of late."""
        return question not in self._too_large and all(
            self._source.knows(entity_type, question.selector) for entity_type in question.entity_types
        )

    async def parts(self, question: StateQuestion, *, is_current: bool = False) -> StateParts:
        """The state of about now: who has it goes on from its cursor. Of those who ask at a time one asks.

        With `is_current` it is no older than this call, for those who may look at it alone. Raises
        NoSuchState where nothing tells it, StateUnknown where nobody can say now.
        """
        if not self.knows(question):
            raise NoSuchState(self._too_large.get(question) or _nobody_knows(question))
        kept = self._kept.get(question)
        if kept is not None and kept.version is None and not is_current and self._is_of_now(kept):
            return kept
        asking = self._asked.setdefault(question, _Asking())
        asking.waiting += 1
        begun, ended = asking.begun, asking.ended
        if is_current:
            asking.whole_after = self._wholes.begun
        try:
            async with asking.lock:
                if asking.answered <= begun if is_current else asking.ended == ended:
                    await self._ask(question, asking)
                return _given(asking.answer)
        finally:
            asking.waiting -= 1
            if not asking.waiting:
                del self._asked[question]

    async def _ask(self, question: StateQuestion, asking: _Asking) -> None:
        asking.begun += 1
        number = asking.begun
        asking.answer = await self._answer(question, asking.whole_after)
        asking.answered = number
        asking.ended += 1

    async def _answer(
        self, question: StateQuestion, whole_after: int
    ) -> StateParts | StateUnknown | NoSuchState:
        try:
            async with self._turn:
                # A thousand questions that are answered at once would be answered in one turn of the loop.
                await asyncio.sleep(0)
                return await self._read(question, whole_after)
        except LogError as error:
            answer: StateUnknown | NoSuchState = StateUnknown(error.detail)
        except (StateUnknown, NoSuchState) as error:
            answer = error
        self.failures += 1
        return answer

    async def _read(self, question: StateQuestion, whole_after: int) -> StateParts:
        async with self._wholes.read(question, whole_after) as reading:
            kept = self._kept.get(question)
            if (
                kept is not None
                and kept.version == reading.version is not None
                and self._is_held(kept.cursor)
            ):
                kept.as_of_ms = reading.as_of_ms
                self._kept[question] = kept
                return kept
            self._make_room()
            place = await self._place_of(str(reading.cursor))
            if isinstance(place, str):
                raise StateUnknown("The log does not hold any more what came after the state: ask again.")
            parts = await self._encoded(question, reading)
        self.reads += 1
        self._count(parts)
        self._kept.pop(question, None)
        if parts.size <= self._pace.state_kept_bytes:
            self._kept[question] = parts
        return parts

    def _count(self, parts: StateParts) -> None:
        """Counts it for as long as it is there: to add all up at each reading would be most of the work."""
        self._bytes += parts.size
        finalize(parts, self._gone, parts.size).atexit = False

    def _gone(self, size: int) -> None:
        self._bytes -= size

    def _make_room(self) -> None:
        """Drops what nobody is being sent where all take too much. Raises StateUnknown where they still do.

        A client that reads slowly holds on to the state that it is sent, and to no copy of it.
        """
        if self.bytes >= self._pace.state_room_bytes:
            self._kept.clear()
            self._wholes.clear()
            if self.bytes >= self._pace.state_room_bytes:
                raise StateUnknown("The states that others are being sent take all the room that there is.")

    async def _encoded(self, question: StateQuestion, reading: StateReading) -> StateParts:
        builder = PartsBuilder(question, reading.cursor)
        async for entity_type, items in reading.batches():
            await self._slices.run(builder.adding(entity_type, items))
            if builder.size > self._pace.state_largest_bytes:
                largest = self._pace.state_largest_bytes >> 20
                detail = f"The state has more than {largest} MiB, and is not told: ask for less."
                self._too_large[question] = detail
                raise NoSuchState(detail)
        return builder.finished(reading.as_of_ms, reading.version, self._clock.monotonic())

    def _is_of_now(self, kept: StateParts) -> bool:
        is_fresh = self._clock.monotonic() < kept.read_at + self._pace.state_fresh_seconds
        return is_fresh and self._is_held(kept.cursor)

    def _is_held(self, cursor: Cursor) -> bool:
        """Whether this node's own history has what follows."""
        history = self._history
        return cursor.epoch == history.epoch and history.number_at(cursor.position) is not None


def _given(answer: StateParts | StateUnknown | NoSuchState | None) -> StateParts:
    """The answer, or an error of its own for each: one that is raised for many grows its traceback."""
    if isinstance(answer, StateParts):
        return answer
    if isinstance(answer, NoSuchState):
        raise NoSuchState(answer.detail)
    detail = "The state is not known yet." if answer is None else answer.detail
    raise StateUnknown(detail, headers={"Retry-After": str(RETRY_SECONDS)})


def _nobody_knows(question: StateQuestion) -> str:
    listed = ", ".join(question.entity_types)
    return (
        f"Nothing here knows the state of {listed}, as it was asked for."
        " It is known of the entities of shared legacy routes and of captured tables."
    )
