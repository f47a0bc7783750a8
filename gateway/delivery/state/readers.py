"""Streams that are owed their state: those that wait for it, and those that are sent its parts."""

from collections.abc import Callable, Collection, Iterator

from gateway.core.events import Cursor
from gateway.core.history import History
from gateway.delivery.group import Group
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import NOWHERE, Subscriber


class StateReaders:
    """Sends each stream the parts that it lacks, and then leaves it where their cursor is.

    `queue` takes what is to be asked for; None where nobody is there to ask, and then no state ever follows.
    While a state is owed the stream's number is NOWHERE, and it has no position.
    """

    def __init__(self, history: History, streams: Streams, queue: StateQueue | None) -> None:
        self._history = history
        self._streams = streams
        self._queue = queue
        self._waiting: dict[StateQuestion, dict[Subscriber, None]] = {}

    @property
    def waiting(self) -> int:
        """Streams that wait for their state to be known."""
        return sum(map(len, self._waiting.values()))

    @property
    def asked(self) -> Collection[StateQuestion]:
        """What is to be asked for, or being asked."""
        return self._waiting.keys()

    def knows(self, question: StateQuestion | None) -> bool:
        """Whether a state follows where that is what a stream is owed."""
        return question is not None and self._queue is not None and self._queue.knows(question)

    def owe(self, subscriber: Subscriber) -> bool | None:
        """It can't go on from what its client has: says whether its state follows; None for one without."""
        reading = subscriber.reading
        if reading is None:
            return None
        if not self.knows(reading.question):
            return False
        reading.owe()
        subscriber.number = subscriber.last_sent = NOWHERE
        subscriber.position = "unknown"
        return True

    def drop(self, subscriber: Subscriber) -> None:
        """It is to be sent nothing more of its state, should it be owed any."""
        reading = subscriber.reading
        if reading is None:
            return
        if reading.question is not None and (waiting := self._waiting.get(reading.question)) is not None:
            waiting.pop(subscriber, None)
        reading.drop()

    def serve(self, subscriber: Subscriber) -> bool:
        """Writes the next part to one that is owed some; False where it has to wait for them."""
        reading = subscriber.reading
        assert reading is not None, "a stream that asked for its state"
        parts = reading.parts
        if parts is None:
            assert reading.question is not None, "what is owed can be asked for"
            self._wait(subscriber, reading.question)
            return False
        group: Group = subscriber.group
        delivery = group.delivery
        payload = parts.parts[reading.next].framed(chunked=delivery.chunked, gzip=delivery.gzip)
        reading.next += 1
        if reading.next == len(parts):
            reading.end()
            self._go_on_from(subscriber, parts.cursor)
        if self._streams.write(subscriber, payload):
            self._streams.counters.state_parts += 1
        return True

    def is_of_before(self, subscriber: Subscriber) -> bool:
        """Whether it is being sent a state of a history that is over."""
        reading = subscriber.reading
        parts = None if reading is None else reading.parts
        return parts is not None and parts.cursor.epoch != self._history.epoch

    def _wait(self, subscriber: Subscriber, question: StateQuestion) -> None:
        waiting = self._waiting.get(question)
        if waiting is None:
            assert self._queue is not None, "no state is owed where nobody is there to ask"
            waiting = self._waiting[question] = {}
            self._queue.add(question)
        waiting[subscriber] = None

    def _go_on_from(self, subscriber: Subscriber, cursor: Cursor) -> None:
        number = self._history.number_at(cursor.position)
        subscriber.number = subscriber.last_sent = NOWHERE if number is None else number
        subscriber.position = cursor.position

    def is_awaited(self, question: StateQuestion) -> bool:
        """Whether a stream still waits for it. Where none does it has to be asked for anew."""
        if self._waiting.get(question):
            return True
        self._waiting.pop(question, None)
        return False

    def told(
        self, question: StateQuestion, parts: StateParts | None, go_on: Callable[[Subscriber], None]
    ) -> Iterator[None]:
        """Gives all who wait for it their state, one a step, and has each `go_on`.

        None where it turned out that nobody can tell it: they are not to wait for one again.
        """
        while self.is_awaited(question):
            subscriber, _ = self._waiting[question].popitem()
            reading = subscriber.reading
            assert reading is not None, "only streams that asked for their state wait for it"
            if parts is None:
                reading.question = None
            else:
                reading.know(parts)
            go_on(subscriber)
            yield
