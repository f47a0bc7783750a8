"""What readers of a group lack of the history, made once for all who come back with the same cursor.

After a restart all clients of a page come back, and most had got the same last event.
"""

from typing import NamedTuple

from gateway.core.history import History
from gateway.core.selectors import Match
from gateway.delivery.group import Group
from gateway.delivery.pace import Pace

_KEPT = 64
"""How many batches are kept, each of some more than `Pace.catch_up_bytes` at most."""


class Batch(NamedTuple):
    """What a reader gets that has all up to an entry: `events` and their frames, framed; b"" without any.

    It has all up to entry `number` then; `last_sent` is the last entry whose frame is among them.
    """

    number: int
    last_sent: int | None
    events: int
    payload: bytes


class SharedBatches:
    """The batches of groups without hints. What was made is kept until the history grows."""

    def __init__(self, history: History, pace: Pace) -> None:
        self._history = history
        self._pace = pace
        self._head: tuple[str, int] | None = None
        self._kept: dict[tuple[Group, int], Batch] = {}

    def after(self, group: Group, number: int) -> Batch | None:
        """The next batch for a reader of the group that has all up to `number`.

        None where the history has not what comes next.
        """
        history = self._history
        if number < history.floor:
            return None
        head = (history.epoch, history.head)
        if head != self._head or len(self._kept) >= _KEPT:
            self._kept.clear()
            self._head = head
        batch = self._kept.get((group, number))
        if batch is None:
            batch = self._kept[group, number] = self._made(group, number)
        return batch

    def _made(self, group: Group, number: int) -> Batch:
        frames: list[bytes] = []
        size, last_sent, at = 0, None, number
        entries = self._history.after(number, self._pace.catch_up_entries) or ()
        for at, entry in enumerate(entries, number + 1):
            match = group.selector.match(entry.event)
            if match is Match.SKIP:
                continue
            frames.append(group.frame(entry, match, self._history))
            last_sent = at
            size += len(frames[-1])
            if size >= self._pace.catch_up_bytes:
                break
        return Batch(at, last_sent, len(frames), group.framed(b"".join(frames)))
