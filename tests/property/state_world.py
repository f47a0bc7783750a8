"""Entities whose state is known, what clients that begin with it show, and what may happen to a reading."""

from typing import Any, NamedTuple

import orjson

from gateway.core.events import Cursor, Event
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.queue import StateQueue
from gateway.ports.state import StateItem
from tests.property.log_world import LogWorld
from tests.property.world import EPOCH, Choice, Client, Pace, World
from tests.support.events import an_event
from tests.support.given_state import parts_of

Items = dict[str, int]
"""The value of `data.n` by entity, as `order:1`."""


class Questions(StateQueue):
    """What is to be asked for; a test says when it is, and what comes of it."""

    def __init__(self) -> None:
        super().__init__(lambda question: True)
        self.asked: list[StateQuestion] = []
        self.read: list[tuple[StateQuestion, StateParts]] = []

    def add(self, question: StateQuestion) -> None:
        self.asked.append(question)


class Entities:
    """What a source knows: `states[n]` are the entities after event n."""

    def __init__(self, world: World, questions: Questions, part_bytes: int) -> None:
        self.world = world
        self.questions = questions
        self.states: list[Items] = [{}]
        self._part_bytes = part_bytes

    def change(self, entity: str, value: int | None) -> None:
        """An event sets, or with None deletes, an entity."""
        items = dict(self.states[-1])
        before = items.pop(entity, None)
        if value is not None:
            items[entity] = value
        self.states.append(items)
        self.world.append([_event(entity, before, value)])

    def read(self, which: int) -> None:
        """The source is asked: its answer is on its way, and is that of now."""
        asked = self.questions.asked
        if not asked:
            return
        question = asked.pop(which % len(asked))
        number = len(self.states) - 1
        items: dict[str, list[StateItem]] = {}
        for entity, value in self.states[number].items():
            kind, _, entity_id = entity.partition(":")
            items.setdefault(kind, []).append(StateItem(entity_id, orjson.dumps({"n": value})))
        cursor = Cursor(EPOCH, self.world.history.head_position)
        self.questions.read.append((question, parts_of(question, cursor, items, self._part_bytes)))

    def tell(self, which: int, *, is_known: bool = True) -> None:
        """An answer has come; or it turns out that there is none."""
        read = self.questions.read
        if read:
            question, parts = read.pop(which % len(read))
            for _ in self.world.hub.state_told(question, parts if is_known else None):
                pass

    def finish(self) -> None:
        """Everybody is answered, and left alone for a while."""
        for _ in range(3):
            self.world.finish()
            while self.questions.asked or self.questions.read:
                self.read(0)
                self.tell(0)
                self.world.settle()
        self.world.finish()

    def of(self, choice: Choice, number: int) -> Items:
        """What a client of that choice is to show after event `number`."""
        return {
            entity: value
            for entity, value in self.states[number].items()
            if {entity, entity.partition(":")[0]} & set(choice.entities)
            and (choice.n is None or value == choice.n)
        }


def _event(entity: str, before: int | None, value: int | None) -> Event:
    previous = None if before is None else {"n": before}
    if value is None:
        return an_event(entity, "changed", action="delete", data=None, previous=previous or {"n": -1})
    action = "insert" if before is None else "update"
    return an_event(entity, "changed", action=action, data={"n": value}, previous=previous)


class Page:
    """What a client shows, by the protocol alone. It fetches what it has to where no state comes."""

    def __init__(self, entities: Entities, client: Client) -> None:
        self._entities = entities
        self._client = client
        self.shown: Items = {}
        self.is_whole = False
        self._part = 0
        self._cursor = ""

    def show_all(self) -> "Page":
        """Takes in all that the client has seen, session by session."""
        for session in self._client.sessions:
            self._choice = session.choice
            for sent in session.seen():
                self._take(sent.frame.event, sent.frame.id, sent.frame.data)
        return self

    def _take(self, event: str | None, cursor: str | None, data: Any) -> None:
        if event in ("connected", "reset"):
            self._begin(event, cursor, data)
        elif event == "state":
            self._take_part(cursor, data)
        elif event == "fetch-mode":
            self._choice = self._client.choices[data["choice"]]
            if self.is_whole:
                self._fetch(data["cursor"])
        elif event not in ("heartbeat", "bye", "refresh"):
            assert self.is_whole, "an event before the state was whole"
            entity = f"{data['entityType']}:{data['entityId']}"
            self.shown.pop(entity, None)
            if data["action"] not in ("delete", "leave"):
                self.shown[entity] = data["data"]["n"]
        else:
            assert cursor is None or self.is_whole, f"a {event} with an id before the state was whole"

    def _begin(self, event: str, cursor: str | None, data: Any) -> None:
        if data.get("state"):
            assert cursor is None, "an id although state follows"
            self.shown, self.is_whole, self._part = {}, False, 0
        elif event == "reset":
            assert cursor is not None
            self._fetch(cursor)
        elif data.get("recovered"):
            assert self.is_whole, "a client without its state goes on from a cursor"
        elif data.get("recovered") is None:
            raise AssertionError("a stream that can't go on from anywhere, and has no state")

    def _take_part(self, cursor: str | None, data: Any) -> None:
        assert not self.is_whole, "a part behind the last one"
        self._part += 1
        assert data["part"] == self._part
        if self._part == 1:
            self._cursor = data["cursor"]
        assert data["cursor"] == self._cursor
        self.shown |= {
            f"{data['entityType']}:{item['entityId']}": item["data"]["n"] for item in data["items"]
        }
        self.is_whole = data["last"]
        assert cursor == (self._cursor if self.is_whole else None)

    def _fetch(self, cursor: str) -> None:
        number = self._entities.world.number_of(cursor)
        self.shown, self.is_whole = self._entities.of(self._choice, number), True


class Change(NamedTuple):
    """A source's entity changes."""

    entity: str
    value: int | None

    def on(self, entities: Entities) -> None:
        entities.change(self.entity, self.value)


class OpenWithState(NamedTuple):
    """A new client begins with its state."""

    choice: Choice
    delivery: DeliveryOptions

    def on(self, entities: Entities) -> None:
        world = entities.world
        client = Client(self.choice, self.delivery, with_state=True)
        world.clients.append(client)
        world.connect(client)


class ReadState(NamedTuple):
    """Somebody asks a source for what is waited for."""

    which: int

    def on(self, entities: Entities) -> None:
        entities.read(self.which)


class TellState(NamedTuple):
    """An answer comes, however late; or it turns out that there is none."""

    which: int
    is_known: bool

    def on(self, entities: Entities) -> None:
        entities.tell(self.which, is_known=self.is_known)


def a_world(pace: Pace, part_bytes: int) -> Entities:
    questions = Questions()
    return Entities(World(pace, states=questions), questions, part_bytes)


def a_world_with_log(pace: Pace, part_bytes: int) -> Entities:
    questions = Questions()
    return Entities(LogWorld(pace, questions), questions, part_bytes)
