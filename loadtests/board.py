"""What the users of one process know of one another: what was published, which streams are open."""

from collections import Counter
from weakref import WeakKeyDictionary

from locust.env import Environment

from loadtests.sse import EventStream


class Board:
    """`offered` counts the events of each lane that were sent, `published` those that were taken; `streams`
    are the open ones; `owed` counts events that were published and that some reader did not have when it was
    stopped."""

    def __init__(self) -> None:
        self.is_publishing = True
        self.offered: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self.streams: set[EventStream] = set()
        self.owed = 0

    def begin(self) -> None:
        """A run begins: what there was in one before does not count."""
        self.offered.clear()
        self.published.clear()
        self.owed = 0

    def published_of(self, kind: str) -> dict[str, int]:
        """How many events were taken on each lane of that kind."""
        return {lane: count for lane, count in self.published.items() if lane.endswith(f"-{kind}")}

    def cut_streams(self) -> None:
        """Breaks every open stream, as a network does."""
        for stream in tuple(self.streams):
            stream.cut()


def lane_of(publisher: str, kind: str) -> str:
    """The lane of one publisher's events of one kind."""
    return f"{publisher}-{kind}"


_boards: WeakKeyDictionary[Environment, Board] = WeakKeyDictionary()


def board_of(environment: Environment) -> Board:
    """The one board of an environment."""
    return _boards.setdefault(environment, Board())
