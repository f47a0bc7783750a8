"""Clients that all come back at once after a restart, each with a cursor, and as many without one.

With cursors they come to a gateway without its front door too, in turns. Every stream is checked: LossError
or RunFailedError where an event is lost, doubled or out of order.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import NamedTuple

from loadtests.access import CONFIG as WITH_TOKENS_CONFIG
from loadtests.access import stream_token
from loadtests.crowd import Crowd, Wanted
from loadtests.dialect import GATEWAY, Dialect
from loadtests.growth_plan import Figures, Growths, Points
from loadtests.log_loads import present_cursor
from loadtests.measure import BATCH, PATIENCE_SECONDS, LossError, full_speed, verify
from loadtests.peer_measure import EVENT_BYTES, NOBODY, ORDER, connect, warm_up_streams
from loadtests.peer_servers.aiohttp_door import aiohttp_door
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import Kind, Server, gateway

SQLITE_CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "sqlite:///{path}"
"""


class _Return(NamedTuple):
    """All clients that come back once, each with a cursor: CPU for one, and the time until all have all."""

    cpu_us: float
    seconds: float
    core_taken_percent: float
    generator_percent: float


class Replays:
    """Measures them, for one plan. `callers` says what the clients send.

    Where that is tokens, the gateway asks for them, and the events are of an order, for which there are
    grants.
    """

    def __init__(self, plan: Growths, core: int, progress: Progress, callers: Dialect = GATEWAY) -> None:
        self._plan = plan
        self._core = core
        self._progress = progress
        self._dialect = callers
        self._with_tokens = callers.stream_token is not None
        self._event, self._event_bytes = (ORDER, None) if self._with_tokens else (NOBODY, EVENT_BYTES)

    def points(self, clients: Sequence[int]) -> Points:
        """What so many clients take, on one log."""
        with TemporaryDirectory(prefix="growth-") as folder:
            config = SQLITE_CONFIG.format(path=Path(folder) / "events.db")
            config += WITH_TOKENS_CONFIG if self._with_tokens else ""
            door = gateway(config, dialect=self._dialect)
            without = aiohttp_door(config, self._dialect)
            cursor, published = self._fill(door)
            return {count: self._replay(count, door, without, cursor, published) for count in clients}

    def _fill(self, kind: Kind) -> tuple[str, int]:
        """Publishes what is to be replayed: the cursor before it, and the number of events in all."""
        self._progress.phase(f"replays: filling a log with {self._plan.replayed:,} events")
        with (
            Server(kind, self._core) as server,
            Crowd(server.address, server.dialect) as crowd,
            Publisher(crowd, lanes=1, event_bytes=self._event_bytes) as publisher,
        ):
            crowd.open([Wanted("", (0,))], PATIENCE_SECONDS, self._progress.tick)
            self._publish(1, crowd, publisher)
            # A reader's own: with tokens a cursor counts for whoever may read what its owner may.
            token = {"Authorization": f"Bearer {stream_token(0, '')}"} if self._with_tokens else {}
            cursor = present_cursor(server.address, token)
            self._publish(self._plan.replayed, crowd, publisher)
            verify("filling the log", crowd, publisher)
            return cursor, publisher.published

    def _publish(self, events: int, crowd: Crowd, publisher: Publisher) -> None:
        full_speed([self._event] * events, BATCH, PATIENCE_SECONDS, crowd, publisher, self._progress.tick)

    def _replay(self, clients: int, door: Kind, without: Kind, cursor: str, published: int) -> Figures:
        self._progress.phase(f"replays: {clients:,} clients after a restart, without cursors")
        with self._restarted(door) as (server, crowd):
            plain = connect(server, crowd, [Wanted("", (published,))] * clients, self._progress)
        # Each comes once before and once after the other.
        returns: dict[Kind, list[_Return]] = {door: [], without: []}
        for kind in (door, without, without, door):
            self._progress.phase(f"replays: {clients:,} clients with cursors, {kind.name}")
            returns[kind].append(self._return(kind, clients, cursor, published))
        own, other = (_Return(*map(mean, zip(*both, strict=True))) for both in returns.values())
        return {
            "CPU µs/client": own.cpu_us,
            "CPU µs/replayed event": own.cpu_us / self._plan.replayed,
            "seconds": own.seconds,
            "seconds without cursors": plain.seconds,
            "times without cursors": own.seconds / plain.seconds,
            "CPU µs/client without cursors": plain.cpu_us_per_connection,
            "seconds without front door": other.seconds,
            "of the seconds without it": own.seconds / other.seconds,
            "CPU µs/client without front door": other.cpu_us,
            "core taken %": own.core_taken_percent,
            "generator CPU %": own.generator_percent,
        }

    def _return(self, kind: Kind, clients: int, cursor: str, published: int) -> _Return:
        """After a restart all clients come back with a cursor, and have what they missed."""
        with self._restarted(kind) as (server, crowd):
            wanted = [Wanted("", (1,), cursor)] * clients
            requests = crowd.requests(wanted)
            cpu, own, began = server.cpu(), process_time(), monotonic()
            crowd.open(wanted, PATIENCE_SECONDS, self._progress.tick, requests=requests)
            crowd.pump_until(clients * self._plan.replayed, PATIENCE_SECONDS, self._progress.tick)
            seconds, own = monotonic() - began, process_time() - own
            used = server.cpu().since(cpu)
            crowd.pump_for(0.2)
            crowd.settle(lambda _: (published,))
            if crowd.problem_count:
                where = f"{clients:,} replaying clients, {kind.name}"
                raise LossError(where, crowd.problem_count, crowd.problems)
        return _Return(
            cpu_us=used.total_ns / 1e3 / clients,
            seconds=seconds,
            core_taken_percent=used.waited_ns / 1e7 / seconds,
            generator_percent=100 * own / seconds,
        )

    @contextlib.contextmanager
    def _restarted(self, kind: Kind) -> Iterator[tuple[Server, Crowd]]:
        with Server(kind, self._core) as server:
            warm_up_streams(server, self._progress.tick, publishing=False)
            with Crowd(server.address, server.dialect) as crowd:
                yield server, crowd
