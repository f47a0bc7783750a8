"""The flags as a store shows them, and who wants to hear when they change."""

import logging

from flags.decide.flag import Flags
from flags.log_lines import Tell
from flags.store.port import Subscriber


class Publisher:
    """Keeps the snapshot. `publish` is to be called in the event loop."""

    def __init__(self, tell: Tell) -> None:
        self.flags = Flags()
        self._tell = tell
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """See FlagStore.subscribe."""
        self._subscribers.append(subscriber)

    def publish(self, flags: Flags) -> None:
        """Shows `flags`, and says so to every subscriber where they are others than before."""
        before = self.flags
        if flags == before:
            return
        self.flags = flags
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(before, flags)
            except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from hearing
                self._tell(logging.ERROR, "flags_subscriber_failed", error=error)
