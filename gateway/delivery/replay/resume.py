"""Where a reader that comes with a cursor goes on: in the history, in the log, or nowhere."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.core.errors import LogError
from gateway.core.events import EARLIEST, ORIGIN, Cursor, Position
from gateway.core.history import History, ResetReason
from gateway.delivery.follower import Follower
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.subscriber import NOWHERE
from gateway.ports.log import Bounds

Place = int | Position | ResetReason
"""The number in the history, the position in the log, or why neither has what follows the cursor."""


class Start(NamedTuple):
    """Where a stream starts. `number` is below every floor where it starts in the log, at `position`."""

    epoch: str
    number: int
    position: Position
    lost: ResetReason | None = None


CATCH_UP_SECONDS = 5.0
"""How long a reader may wait for this node to learn of events that its cursor shows it has."""


class Resumes:
    """Finds places for cursors. A cursor from another node, or of a 201, may be ahead of this history."""

    def __init__(
        self,
        history: History,
        archive: LogArchive,
        follower: Follower,
        catch_up_seconds: float = CATCH_UP_SECONDS,
    ) -> None:
        self._history = history
        self._archive = archive
        self._follower = follower
        self._catch_up_seconds = catch_up_seconds

    async def place(self, *texts: str, scope: str = "") -> Place:
        """The place of the newest of these cursors that can be honoured, else why the newest can't be.

        Those of another scope than the reader's can't: who may see more than before would miss what was
        there already, who may see less would keep what it must not.
        Where this node is yet to reach a cursor it waits, CATCH_UP_SECONDS at most, however many there are.

        Raises LogError where only the log can tell, and is out of reach, and where the log has come to the
        cursor and this node has not: a reset would take the reader back.
        """
        reasons: list[ResetReason] = []
        has_waited = False
        own = _of_scope(scope, texts)
        if not own:
            return "scope"
        for text in self._newest_first(own):
            is_ahead = self._is_ahead(text)
            if is_ahead and has_waited:
                continue
            place = await self._place(text)
            if not isinstance(place, str):
                return place
            reasons.append(place)
            if place == "trimmed":
                # So is whatever is older.
                break
            has_waited = has_waited or is_ahead
        return reasons[0]

    def at_once(self, *texts: str, scope: str = "") -> Place | None:
        """The same where neither the log has to be asked, nor this node to learn of more; else None."""
        own = _of_scope(scope, texts)
        if not own:
            return "scope"
        reason: ResetReason | None = None
        for text in self._newest_first(own):
            place = self._at_once(text)
            if not isinstance(place, str):
                return place
            reason = reason or place
            if place == "trimmed":
                break
        return reason

    async def _place(self, text: str) -> Place:
        place = self._at_once(text)
        if place is not None:
            return place
        cursor = Cursor.parse(text)
        assert cursor is not None, "any other text has its place at once"
        bounds: Bounds | None = None
        try:
            async with asyncio.timeout(self._catch_up_seconds):
                while (place := self._at_once(text)) is None:
                    bounds = await self._archive.bounds(head_at_least=cursor.position)
                    if cursor.epoch != self._archive.epoch:
                        return "epoch"
                    is_old = cursor.position < self._history.floor_position
                    if cursor.epoch == self._history.epoch and is_old:
                        return cursor.position if bounds.floor <= cursor.position else "trimmed"
                    # Also where the log's head is below it: on Postgres an event that a 201 has told of may
                    # wait for an older transaction.
                    await self._follower.reached(cursor)
                return place
        except TimeoutError:
            if bounds is not None and bounds.head < cursor.position and self._follower.is_following:
                return "unknown"
            raise LogError(
                "The log does not answer, or this node has not read as far as the cursor. Try again later."
            ) from None

    async def place_or_reset(self, *texts: str, scope: str = "") -> Place:
        """The same, but what only the log can tell is a reset while that is out of reach.

        For a stream: an EventSource that gets an error status would stop for ever.
        """
        try:
            return await self.place(*texts, scope=scope)
        except LogError:
            own = self._newest_first(_of_scope(scope, texts))
            resolved = [self._history.resolve(text) for text in own]
            return next((place for place in resolved if isinstance(place, int)), resolved[0])

    def start(self, place: Place | None) -> Start:
        """The start of a stream at a place that was found in this step; at the head where that is None."""
        history = self._history
        if isinstance(place, Position):
            return Start(history.epoch, NOWHERE, place)
        if isinstance(place, int):
            return Start(history.epoch, place, history.position(place) or ORIGIN)
        return Start(history.epoch, history.head, history.head_position, place)

    def _newest_first(self, texts: Iterable[str]) -> list[str]:
        """The texts without repeats: this history's cursors from the newest on, then those that are none.

        EARLIEST is left out where there is another: who has got further and can't go on from there lacks
        events, and has to be told.
        """
        cursors = [text for text in dict.fromkeys(texts) if text != EARLIEST]
        return sorted(cursors, key=self._newness, reverse=True) or [EARLIEST]

    def _newness(self, text: str) -> tuple[bool, bool, bool, Position]:
        cursor = Cursor.parse(text)
        if cursor is None:
            return (False, False, False, ORIGIN)
        # Where the two differ the log has started over, and this node is about to learn of it.
        is_new, is_known = cursor.epoch == self._archive.epoch, cursor.epoch == self._history.epoch
        return (is_new, is_known, True, cursor.position)

    def _is_ahead(self, text: str) -> bool:
        """Whether this node is yet to reach the cursor, if it is one of a position that there is."""
        cursor = Cursor.parse(text)
        if cursor is None or cursor.epoch not in (self._history.epoch, self._archive.epoch):
            return False
        return cursor.epoch != self._history.epoch or cursor.position > self._history.head_position

    def _at_once(self, text: str) -> Place | None:
        """The place, where nobody has to be asked for it."""
        resolved = self._history.resolve(text)
        if isinstance(resolved, int):
            return resolved
        cursor = Cursor.parse(text)
        history = self._history
        if cursor is None or cursor.epoch not in (history.epoch, self._archive.epoch):
            return resolved
        is_within = history.floor_position < cursor.position < history.head_position
        # Of these the history holds all that the log ever held.
        return "unknown" if cursor.epoch == history.epoch and is_within else None


def _of_scope(scope: str, texts: Sequence[str]) -> list[str]:
    """Those that are of that scope, or are cursors of none that this gateway ever gave.

    None where nothing but EARLIEST is left: a reader that has got further has to be told.
    """
    own = []
    for text in texts:
        cursor = Cursor.parse(text)
        if cursor is None or cursor.scope == scope:
            own.append(text)
    return own if len(own) == len(texts) or set(own) != {EARLIEST} else []
