"""What the users of one process know of one another: what was published, which streams are open."""

from collections import Counter
from weakref import WeakKeyDictionary

from locust.env import Environment

from loadtests.sse import EventStream


class Board:
    """`published` counts the events of each lane; `streams` are the open ones; `owed` counts events that
    were published and that some reader did not have when it was stopped."""

    def __init__(self) -> None:
        self.published: Counter[str] = Counter()
        self.streams: set[EventStream] = set()
        self.owed = 0
        self.is_publishing = True

    def cut_streams(self) -> None:
        """Breaks every open stream, as a network does."""
        for stream in tuple(self.streams):
            stream.cut()


_boards: WeakKeyDictionary[Environment, Board] = WeakKeyDictionary()


def board_of(environment: Environment) -> Board:
    """The one board of an environment."""
    return _boards.setdefault(environment, Board())
