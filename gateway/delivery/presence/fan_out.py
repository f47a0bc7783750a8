"""Writes the same frames to many streams, in turns, and only to those that read."""

from collections.abc import Callable, Iterable, Iterator

from gateway.delivery.budget import Budget
from gateway.delivery.group import Group
from gateway.delivery.pace import Pace
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import State, Subscriber


class FanOut:
    """Nothing that it writes has an id, or is kept for anybody.

    A stream that is not live, for its client does not read or has yet to catch up, is passed over.
    """

    def __init__(self, streams: Streams, budget: Budget, pace: Pace) -> None:
        self._streams = streams
        self._budget = budget
        self._pace = pace

    def write(
        self,
        frames: bytes,
        readers: Iterable[Subscriber],
        missed: Callable[[Subscriber], None],
        written: Callable[[], None],
        *,
        compressed: bool = True,
    ) -> Iterator[None]:
        """Gives the frames to each of the readers: `written` is called for each that got them, `missed` with
        each that did not.

        Not `compressed` is what is too large for one piece of work.
        """
        pace, budget = self._pace, self._budget
        made: dict[tuple[bool, bool], bytes] = {}
        cost = 1 + len(frames) // pace.bytes_a_write
        for subscriber in readers:
            if subscriber.state is not State.LIVE:
                missed(subscriber)
                continue
            group: Group = subscriber.group
            framing = (group.delivery.chunked, group.delivery.gzip)
            payload = made.get(framing)
            if payload is None:
                payload = made[framing] = (group.framed if compressed else group.framed_apart)(frames)
                if compressed and group.delivery.gzip:
                    budget.left -= len(frames) // pace.compressed_a_write
            if self._streams.write(subscriber, payload):
                written()
            budget.left -= cost
            if budget.left <= 0:
                yield
