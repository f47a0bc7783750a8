"""Which entity types anybody wants to hear of: it decides whether an upstream is polled at all."""

from collections.abc import Callable

from cachetools import TTLCache

from gateway.clock import Clock
from gateway.group import Groups
from gateway.selectors import Selector

RECENT_SECONDS = 15.0
"""How long a poll counts as interest: three of the intervals that pollers are told to keep."""
_MAX_RECENT = 1024


class Interest:
    """The streams and long polls that are open, and the polls of the last seconds.

    `on_new` is called when there may be more interest than before.
    """

    def __init__(self, groups: Groups, clock: Clock) -> None:
        self._groups = groups
        self._recent: TTLCache[Selector, None] = TTLCache(_MAX_RECENT, RECENT_SECONDS, timer=clock.monotonic)
        self.on_new: Callable[[], None] = lambda: None
        groups.on_interest = self._tell

    def note(self, selector: Selector) -> None:
        """Somebody polled with this selector."""
        is_new = selector not in self._recent
        self._recent[selector] = None
        if is_new:
            self._tell()

    def wants(self, entity_type: str) -> bool:
        """Whether somebody could receive events of that type."""
        return self._groups.wants(entity_type) or any(
            selector.may_receive(entity_type) for selector in self._recent
        )

    def _tell(self) -> None:
        self.on_new()
