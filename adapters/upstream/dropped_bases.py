"""Lists whose last answer was dropped: nobody can say what changed in them before the next one."""

from gateway.core.events import Event
from gateway.core.times import rfc3339
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.wanted import Values

MOST_LISTS = 10_000
GAP = "poll_gap"
"""The type of the event that says so to whoever follows that list (docs/protocol.md, section 7)."""
_LONGEST_ID = 256


class DroppedBases:
    """The lists of one route whose answers to compare with are gone, by the values of their paths.

    Of more than `most` it remembers none, and takes every list for one of them: a gap may be told
    where there is none, and none goes untold.
    """

    def __init__(self, most: int = MOST_LISTS) -> None:
        self._most = most
        self._values: set[Values] = set()
        self._is_full = False

    def note(self, values: Values) -> None:
        """The answer of the list of that path is dropped."""
        self._values.add(values)
        if len(self._values) > self._most:
            self._values.clear()
            self._is_full = True

    def take(self, values: Values) -> bool:
        """Whether what that list's next answer is to be compared with may be gone. It is told only once."""
        is_gone = self._is_full or values in self._values
        self._values.discard(values)
        return is_gone


class Gap:
    """What is missing before the first answer of one list, where `is_open`: an event has to say so.

    It is told when that answer is there, and before anything is published of the next.
    """

    def __init__(self, route: LegacyRoute, log: EventLog, clock: Clock, *, is_open: bool) -> None:
        self.is_open = is_open
        self._route = route
        self._log = log
        self._clock = clock

    async def tell(self) -> None:
        """Appends the event where it has not been. Raises LogError; then it has to be told again."""
        if not self.is_open:
            return
        members = self._route.members
        event = Event(
            event_type=GAP,
            entity_type=self._route.entity,
            entity_id=":".join(members.values())[:_LONGEST_ID],
            action="signal",
            timestamp=rfc3339(self._clock.wall_ms()),
            data={**members, "path": self._route.path},
            source=self._route.source,
        )
        await self._log.append([event])
        self.is_open = False
