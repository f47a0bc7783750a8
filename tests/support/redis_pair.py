"""Two Redis servers that replicate, nodes that move between them, and what their readers were told."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from adapters.redis import RedisLog
from gateway.core.errors import EpochChanged, LogError, TrimmedError, UnknownPosition
from gateway.core.events import Cursor, Position
from tests.support.command import Relay, relay
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.redis import RedisServer, opened, redis_server

DEADLINE_SECONDS = 60.0
TIMEOUT_SECONDS = 2.0
_OPTIONS = ("--repl-diskless-sync-delay", "0", "--appendonly", "yes", "--appendfsync", "no")


@contextmanager
def replicated(*options: str) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master, and its replica, which has all that the master has."""
    with (
        redis_server(*_OPTIONS, *options) as master,
        redis_server(*_OPTIONS, *options, "--replicaof", "127.0.0.1", str(master.port)) as replica,
    ):
        in_sync(master)
        yield master, replica


def in_sync(master: RedisServer) -> None:
    """Returns once the replica has all that the master has now: WAIT looks at the same client's writes."""
    with master.client() as client:
        client.set("written", 1)
        assert client.wait(1, round(DEADLINE_SECONDS * 1000)) == 1


def promote(replica: RedisServer) -> None:
    """Makes a master of a replica, as Sentinel does; whatever becomes of the old one."""
    with replica.client() as client:
        client.replicaof("NO", "ONE")


class Node(NamedTuple):
    """A log as one gateway has it, and the network between it and the server that it takes for the master."""

    log: RedisLog
    network: Relay

    def move(self, server: RedisServer) -> None:
        """Its connections are cut, and new ones reach `server`."""
        self.network.target_port = server.port
        self.network.cut()


@asynccontextmanager
async def node(server: RedisServer) -> AsyncIterator[Node]:
    async with (
        relay(server.port) as network,
        opened(f"redis://127.0.0.1:{network.port}", timeout_seconds=TIMEOUT_SECONDS) as log,
    ):
        yield Node(log, network)


class Ledger:
    """All that publishers were promised and readers were given, in the order in which that happened."""

    def __init__(self) -> None:
        self._moments = itertools.count()
        self._names = itertools.count()
        self.acknowledged: dict[str, int] = {}
        """Each event that a publisher was promised, and when."""
        self.meanings: defaultdict[Cursor, set[str]] = defaultdict(set)
        """What each cursor was given for."""
        self.readers: list[Reader] = []

    def moment(self) -> int:
        return next(self._moments)

    async def publish(self, log: RedisLog, count: int = 1, key: str | None = None) -> list[str]:
        """Publishes so many events with one call. Gives their names; none where it failed."""
        names = [str(next(self._names)) for _ in range(count)]
        events = [an_event(f"order:{name}") for name in names]
        try:
            appended = (
                await log.append(events) if key is None else await log.append_once(events, key, b"digest")
            )
        except LogError:
            return []
        now = self.moment()
        for name, position in zip(names, appended.positions, strict=True):
            self.acknowledged[name] = now
            self.meanings[Cursor(appended.epoch, position)].add(name)
        return names

    @asynccontextmanager
    async def reading(self, log: RedisLog) -> AsyncIterator["Reader"]:
        """A reader of what comes from now on, until the end."""
        reader = Reader(self, log)
        await reader.begin()
        self.readers.append(reader)
        task = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def lost_without_a_reset(self, held: Sequence[str]) -> list[str]:
        """Events that were promised, are not held, and after whose promise some reader was told nothing."""
        return [
            name
            for name in self.acknowledged.keys() - set(held)
            if any(reader.told_at < self.acknowledged[name] for reader in self.readers)
        ]

    def cursors_of_two(self) -> list[Cursor]:
        return [cursor for cursor, names in self.meanings.items() if len(names) > 1]


class Reader:
    """Follows a log as a gateway does. `told_at` is when it was last told of a gap, and began at the end."""

    def __init__(self, ledger: Ledger, log: RedisLog) -> None:
        self._ledger = ledger
        self._log = log
        self.told_at = -1
        self.resets: list[LogError] = []
        self.cursor = Cursor("", Position(0, 0))
        self.names: list[str] = []
        self._began = self.cursor.position

    async def begin(self) -> None:
        """Begins at the end of the log, as a client that has just fetched the state."""
        now = self._ledger.moment()
        head = (await self._log.bounds()).head
        self.cursor, self._began, self.names = Cursor(self._log.epoch, head), head, []
        self.told_at = now

    def knows(self, name: str) -> bool:
        """Whether it has that event, or was told of a gap after it was promised."""
        return name in self.names or self.told_at > self._ledger.acknowledged[name]

    async def run(self) -> None:
        while True:
            try:
                # A tail ends when its log is closed.
                return await self._follow()
            except (TrimmedError, EpochChanged, UnknownPosition) as gap:
                self.resets.append(gap)
                await self._begin_again()
            except LogError:
                await let_others_run()

    async def _begin_again(self) -> None:
        while True:
            try:
                await self.begin()
            except LogError:
                await let_others_run()
            else:
                return

    async def _follow(self) -> None:
        if self._log.epoch != self.cursor.epoch:
            raise EpochChanged("It was seen before the tail began.")
        async for batch in self._log.tail(self.cursor.position):
            for record in batch:
                name = record.event.entity_id or ""
                self.names.append(name)
                self.cursor = Cursor(self.cursor.epoch, record.position)
                self._ledger.meanings[self.cursor].add(name)

    async def skipped(self, log: RedisLog) -> list[str]:
        """What `log` holds after the place where this reader last began, and it was not given."""
        given = set(self.names)
        records = await log.read((await log.bounds()).floor, 100_000)
        return [
            name
            for record in records
            if record.position > self._began and (name := record.event.entity_id or "") not in given
        ]


async def agree(ledger: Ledger, *logs: RedisLog) -> None:
    """Returns once all logs and readers are in one epoch, and have what was published then."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            last = await ledger.publish(logs[0])
            while last and not all(reader.knows(last[0]) for reader in ledger.readers):
                await let_others_run()
            epochs = {log.epoch for log in logs} | {reader.cursor.epoch for reader in ledger.readers}
            if last and len(epochs) == 1:
                return


async def names_held(log: RedisLog) -> list[str]:
    return [record.event.entity_id or "" for record in await log.read((await log.bounds()).floor, 100_000)]
