"""Which entity types anybody wants to hear of: it decides whether an upstream is polled at all."""

from collections.abc import Callable, Iterable

from gateway.core.selectors import Selector
from gateway.delivery.group import Groups
from gateway.delivery.wanted_rows import RowsWanted
from gateway.ports.clock import Clock

RECENT_SECONDS = 15.0
"""How long a poll counts as interest: three of the intervals that pollers are told to keep."""


class Interest:
    """The streams and long polls that are open, and the polls of the last seconds.

    `entity_types` are those of which it is ever asked; of a poll it is kept which of them it could receive.
    `rows` are told of the rows that a poll wants. `on_new` is called when a poll is interest that was not
    there before; the groups tell of their own.
    """

    def __init__(
        self,
        groups: Groups,
        clock: Clock,
        entity_types: Iterable[str],
        rows: RowsWanted,
        on_new: Callable[[], None],
    ) -> None:
        self._groups = groups
        self._rows = rows
        self._clock = clock
        self._until = dict.fromkeys(entity_types, 0.0)
        self._on_new = on_new

    def note(self, selector: Selector) -> None:
        """Somebody polled with this selector."""
        now = self._clock.monotonic()
        is_new = self._rows.note(selector, now + RECENT_SECONDS)
        for entity_type, until in self._until.items():
            if selector.may_receive(entity_type):
                self._until[entity_type] = now + RECENT_SECONDS
                is_new |= until <= now
        if is_new:
            self._on_new()

    def wants(self, entity_type: str) -> bool:
        """Whether somebody could receive events of that type."""
        return self._clock.monotonic() < self._until[entity_type] or self._groups.wants(entity_type)
