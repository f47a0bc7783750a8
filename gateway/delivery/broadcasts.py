"""Gives the live members of groups the hints that are due, all of a group alike, between two flushes.

Between flushes what they have is one number, so the cursors hold. What comes after is written by a flush: no
event may overtake a hint that is older than the longest wait, or a client that is cut off between the two
would never get it.
"""

from collections.abc import Iterable, Iterator

from gateway.core.hints import Refresh
from gateway.core.history import History
from gateway.delivery.budget import Budget
from gateway.delivery.group import Group
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.live import Flushes
from gateway.delivery.replay.recovery import Recovery
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import State


class Broadcasts:
    """Makes the work of giving hints; who runs it does so whole, between two flushes."""

    def __init__(
        self,
        history: History,
        streams: Streams,
        hint_schedule: HintSchedule,
        flushes: Flushes,
        recovery: Recovery,
        budget: Budget,
    ) -> None:
        self._history = history
        self._streams = streams
        self._hint_schedule = hint_schedule
        self._flushes = flushes
        self._recovery = recovery
        self._budget = budget

    def hints(self, groups: Iterable[Group]) -> Iterator[None]:
        """Gives the members of these groups the hints that are due."""
        for group in groups:
            try:
                yield from self._give(group)
            except Exception as error:  # noqa: BLE001 - whatever it was, the other groups get theirs
                self._streams.failures.report("hints", error)
                yield from self._recovery.send_back(group)
            finally:
                self._flushes.giving = ([], frozenset())

    def _give(self, group: Group) -> Iterator[None]:
        refreshes = self._hint_schedule.take(group)
        lacking = set(group.members)
        self._flushes.giving = refreshes, lacking
        self._hint_schedule.plan(group)
        if refreshes and group.members:
            number = self._flushes.safe_number(group)
            made: dict[int, bytes] = {}
            for subscriber in tuple(group.members):
                if subscriber.state is not State.LIVE:
                    continue
                # A cursor before the last one it was sent would set it back. Most were sent the same.
                last_sent = subscriber.last_sent
                payload = made.get(last_sent)
                if payload is None:
                    payload = made[last_sent] = self._payload(
                        group, refreshes, max(number, last_sent), least=last_sent
                    )
                subscriber.last_sent = max(number, last_sent)
                lacking.discard(subscriber)
                if self._streams.write(subscriber, payload):
                    self._streams.counters.hints += len(refreshes)
                if self._budget.spend():
                    yield

    def _payload(self, group: Group, refreshes: list[Refresh], number: int, least: int) -> bytes:
        frames = group.hint_frames(refreshes, number, self._history, len(group.members), least)
        return group.framed(b"".join(frames))
