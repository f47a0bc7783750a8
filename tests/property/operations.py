"""What can happen to a hub, as data that hypothesis draws and shrinks."""

from typing import NamedTuple, Protocol

from gateway.core.events import Event
from gateway.core.revocations import Revocation
from gateway.delivery.group import DeliveryOptions
from tests.property.world import Choice, Client, World
from tests.support.events import TIMESTAMP


class Operation(Protocol):
    """One thing that happens."""

    def apply(self, world: World) -> None: ...


def _client(world: World, which: int) -> Client | None:
    return world.clients[which % len(world.clients)] if world.clients else None


class Append(NamedTuple):
    """Events come out of the log."""

    events: list[Event]

    def apply(self, world: World) -> None:
        world.append(self.events)


class Open(NamedTuple):
    """A new client connects."""

    choice: Choice
    delivery: DeliveryOptions

    def apply(self, world: World) -> None:
        client = Client(self.choice, self.delivery)
        world.clients.append(client)
        world.connect(client)


class OpenAs(NamedTuple):
    """A new client connects with a token of that subject."""

    choice: Choice
    delivery: DeliveryOptions
    subject: str

    def apply(self, world: World) -> None:
        client = Client(self.choice, self.delivery, self.subject)
        world.clients.append(client)
        world.connect(client)


class Revoke(NamedTuple):
    """The tokens of a subject are revoked, and these events come with it out of the log."""

    subject: str
    before: list[Event]
    after: list[Event]

    def apply(self, world: World) -> None:
        revocation = Revocation("subject", self.subject, 0.0, "").event(TIMESTAMP)
        world.append([*self.before, revocation, *self.after])


class Reconnect(NamedTuple):
    """A client whose stream is over comes back."""

    which: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            world.connect(client)


class StopReading(NamedTuple):
    """A client goes to sleep with its connection open."""

    which: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            client.session.transport.stop_reading()


class Clog(NamedTuple):
    """A connection is full although nothing was written to it just now."""

    which: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            client.session.transport.clog()


class Read(NamedTuple):
    """A client that sleeps takes some bytes; None: it wakes up."""

    which: int
    count: int | None

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is None:
            return
        if self.count is None:
            client.session.transport.start_reading()
        else:
            client.session.transport.read(self.count)


class Disconnect(NamedTuple):
    """A connection is gone, with what was on its way."""

    which: int
    lost_bytes: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None and not client.session.is_over:
            client.session.end(self.lost_bytes)


class FailWrites(NamedTuple):
    """A connection whose handle is closed although nobody has said so yet."""

    which: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            client.session.transport.fail_writes(RuntimeError("the handle is closed"))


class Bye(NamedTuple):
    """The gateway sends a client away."""

    which: int

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            world.hub.bye(client.session.subscriber, "disconnected")


class Move(NamedTuple):
    """The flags change, and with them what a client gets; with `ends` no stream has anything left for it."""

    which: int
    choice: Choice
    ends: bool

    def apply(self, world: World) -> None:
        client = _client(world, self.which)
        if client is not None:
            world.move(client, self.choice, ends=self.ends)


class Step(NamedTuple):
    """The event loop runs some callbacks."""

    count: int

    def apply(self, world: World) -> None:
        for _ in range(self.count):
            world.scheduler.step()


class Wait(NamedTuple):
    """Time passes; with `busy` the loop had no turn meanwhile."""

    milliseconds: int
    busy: bool

    def apply(self, world: World) -> None:
        if self.busy:
            world.clock.advance(self.milliseconds / 1000)
        else:
            world.scheduler.run_for(self.milliseconds / 1000)
