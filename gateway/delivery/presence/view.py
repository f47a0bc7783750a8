"""What the readers of one channel were told of who is there, and what they are to be told next. Pure."""

from collections.abc import Callable, Iterator

from gateway.core import control_frames

Lookup = Callable[[str], bytes | None]
"""The meta of a user who is there, as JSON; None for who is not."""


class View:
    """All readers of a channel know the same: what the frames up to now came to.

    Who left is told so only once it was missing for two steps in a row: who comes back meanwhile, as after a
    connection that was cut, has neither left nor joined.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        # As it stands in frames: a new reader is to be told all of it in one piece of work.
        self._told: dict[str, bytes] = {}
        self._touched: dict[str, None] = {}
        self._leaving: set[str] = set()

    @property
    def is_due(self) -> bool:
        """Whether a step may have something to tell."""
        return bool(self._touched)

    def touch(self, user: str) -> None:
        """Something of the user may be different now."""
        self._touched[user] = None

    def step(self, lookup: Lookup, frames: list[bytes]) -> Iterator[None]:
        """Looks at who was touched, one a step, and puts what readers are to be told into `frames`."""
        touched, self._touched = self._touched, {}
        leaving, self._leaving = self._leaving, set()
        changes: dict[control_frames.PresenceType, list[bytes]] = {"leave": [], "join": [], "update": []}
        for user in touched:
            before, meta = self._told.get(user), lookup(user)
            after = None if meta is None else control_frames.present(user, meta)
            if after is not None and after != before:
                changes["update" if before else "join"].append(after)
                self._told[user] = after
            elif after is None and before is not None:
                if user in leaving:
                    changes["leave"].append(self._told.pop(user))
                else:
                    self._leaving.add(user)
                    self._touched[user] = None
            yield
        frames += [
            control_frames.presence(self._channel, kind, users) for kind, users in changes.items() if users
        ]

    def sync(self) -> bytes:
        """The frame that tells a new reader what all others know."""
        return control_frames.presence(self._channel, "sync", self._told.values())
