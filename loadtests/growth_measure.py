"""What the gateway costs as one thing grows: streams, selectors, an event's size, the history, replays.

Each growth is measured once, and gives a set of figures for each of its points. Every stream is checked as in
the other benchmarks: LossError or RunFailedError where an event is lost, doubled or out of order.
"""

from loadtests.crowd import Crowd, Wanted
from loadtests.dialect import Dialect
from loadtests.growth_plan import Figures, Growths, Points
from loadtests.growth_replays import Replays
from loadtests.measure import (
    BATCH,
    PATIENCE_SECONDS,
    PAUSE_SECONDS,
    SETTLE_SECONDS,
    SINGLE,
    LoadResult,
    await_all,
    full_speed,
    measured,
    one_by_one,
    verify,
)
from loadtests.peer_measure import EVENT_BYTES, NOBODY, connect, warm_up_streams
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import QUIET_GATEWAY, Server, gateway

TARGET = "order:TARGET"
HISTORY_CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "memory://"

[history]
max_events = 1000000
max_bytes = 4294967296
"""
RESUMING = 20
RESUMED_EVENTS = 10


class Meter:
    """Measures on one core for the server, with a plan and somebody to tell how far it is."""

    def __init__(self, plan: Growths, core: int, progress: Progress) -> None:
        self._plan = plan
        self._core = core
        self._progress = progress

    def streams(self) -> Points:
        """Single events to more and more streams, each number on a fresh server."""
        return {count: self._streams(count) for count in self._plan.streams}

    def _streams(self, count: int) -> Figures:
        self._progress.phase(f"streams: {count:,}")
        with Server(QUIET_GATEWAY, self._core) as server:
            warm_up_streams(server, self._progress.tick)
            before = server.resident_bytes()
            with Crowd(server.address) as crowd:
                opened = connect(server, crowd, [Wanted("", (0,))] * count, self._progress)
                crowd.pump_for(SETTLE_SECONDS)
                resident = server.resident_bytes() - before
                with Publisher(crowd, lanes=1, event_bytes=EVENT_BYTES) as publisher:
                    load = self._singles(server, crowd, publisher)
        return {
            **_delivery(load),
            "KiB/idle stream": resident / count / 1024,
            "CPU µs/connection": opened.cpu_us_per_connection,
        }

    def selectors(self) -> Points:
        """An event for one stream, while as many others as ever have more and more different selectors."""
        return {count: self._selectors(count) for count in self._plan.selectors}

    def _selectors(self, count: int) -> Figures:
        others = self._plan.selectors[-1]
        self._progress.phase(f"selectors: {count:,} of {others:,} streams")
        wanted = [Wanted(f"order:OTHER-{number % count}", (0,)) for number in range(others)]
        with Server(QUIET_GATEWAY, self._core) as server:
            warm_up_streams(server, self._progress.tick)
            before = server.resident_bytes()
            with Crowd(server.address) as crowd:
                opened = connect(server, crowd, [Wanted(TARGET, (0,)), *wanted], self._progress)
                crowd.pump_for(SETTLE_SECONDS)
                resident = server.resident_bytes() - before
                with Publisher(crowd, lanes=1, per_entity=True) as publisher:
                    load = measured(
                        SINGLE, server, crowd, publisher, lambda: self._to_target(crowd, publisher)
                    )
                    verify(f"selectors: {count:,}", crowd, publisher)
        return {
            "CPU µs/event": load.cpu_us_per_delivery,
            "p50 ms": load.latency_p50_ms,
            "p99 ms": load.latency_p99_ms,
            "KiB/idle stream": resident / (others + 1) / 1024,
            "CPU µs/connection": opened.cpu_us_per_connection,
            "core taken %": 100 * load.server_wait_share,
            "generator CPU %": 100 * load.generator_cpu_share,
        }

    def _to_target(self, crowd: Crowd, publisher: Publisher) -> None:
        for _ in range(self._plan.selector_events):
            publisher.offer([TARGET], 1)
            await_all(crowd, crowd.received + 1, publisher, self._progress.tick)
            crowd.pump_for(PAUSE_SECONDS / 2)

    def sizes(self) -> Points:
        """Single events of more and more bytes, to as many streams as ever."""
        points = {}
        with Server(QUIET_GATEWAY, self._core) as server:
            warm_up_streams(server, self._progress.tick)
            with Crowd(server.address) as crowd:
                crowd.open(
                    [Wanted("", (0,))] * self._plan.size_streams, PATIENCE_SECONDS, self._progress.tick
                )
                with Publisher(crowd, lanes=1) as publisher:
                    for size in self._plan.sizes:
                        self._progress.phase(f"event size: {size:,} bytes")
                        publisher.event_bytes = size
                        load = self._singles(server, crowd, publisher)
                        rate = load.bytes_per_delivery / load.cpu_us_per_delivery
                        points[size] = {**_delivery(load), "MB/CPU second": rate}
        return points

    def histories(self) -> Points:
        """A history that grows longer: a single event, a client that comes back, and memory."""
        points = {}
        with Server(gateway(HISTORY_CONFIG), self._core) as server:
            warm_up_streams(server, self._progress.tick)
            with Crowd(server.address) as crowd:
                crowd.open(
                    [Wanted("", (0,))] * self._plan.history_streams, PATIENCE_SECONDS, self._progress.tick
                )
                before = server.resident_bytes()
                with Publisher(crowd, lanes=1, event_bytes=EVENT_BYTES) as publisher:
                    for length in self._plan.histories:
                        self._progress.phase(f"history: {length:,} events")
                        missing = max(0, length - publisher.published)
                        self._publish(missing, crowd, publisher)
                        memory = (server.resident_bytes() - before) / length
                        load = self._singles(server, crowd, publisher)
                        points[length] = {
                            **_delivery(load),
                            "CPU µs/resume": self._resume(server, crowd, publisher),
                            "resident bytes/event": memory,
                        }
        return points

    def _resume(self, server: Server, crowd: Crowd, publisher: Publisher) -> float:
        """CPU µs for a client that comes back for the last 10 events: from connecting until it has them."""
        cursor, expected = publisher.last_cursor, publisher.counts("")
        self._publish(RESUMED_EVENTS, crowd, publisher)
        cpu = server.cpu()
        with Crowd(server.address) as back:
            back.open([Wanted("", expected, cursor)] * RESUMING, PATIENCE_SECONDS, self._progress.tick)
            back.pump_until(RESUMING * RESUMED_EVENTS, PATIENCE_SECONDS, self._progress.tick)
            used = server.cpu().since(cpu)
            verify("resuming from the history", back, publisher)
        return used.total_ns / 1e3 / RESUMING

    def replays(self) -> Points:
        """Clients that all come back at once after a restart; see loadtests/growth_replays.py."""
        return Replays(self._plan, self._core, self._progress).points(self._plan.clients)

    def replays_of(self, callers: Dialect) -> Points:
        """The same of clients that send more; of the largest numbers of them alone."""
        return Replays(self._plan, self._core, self._progress, callers).points(self._plan.clients[-2:])

    def _singles(self, server: Server, crowd: Crowd, publisher: Publisher) -> LoadResult:
        events = min(100, max(5, self._plan.single_deliveries // len(crowd)))
        result = measured(
            SINGLE,
            server,
            crowd,
            publisher,
            lambda: one_by_one([NOBODY] * events, crowd, publisher, self._progress.tick),
        )
        verify("single events", crowd, publisher)
        return result

    def _publish(self, events: int, crowd: Crowd, publisher: Publisher) -> None:
        full_speed([NOBODY] * events, BATCH, PATIENCE_SECONDS, crowd, publisher, self._progress.tick)


def _delivery(load: LoadResult) -> Figures:
    return {
        "CPU µs/delivery": load.cpu_us_per_delivery,
        "user µs": load.cpu_us_per_delivery * (1 - load.cpu_system_share),
        "kernel µs": load.cpu_us_per_delivery * load.cpu_system_share,
        "p50 ms": load.latency_p50_ms,
        "p99 ms": load.latency_p99_ms,
        "core taken %": 100 * load.server_wait_share,
        "generator CPU %": 100 * load.generator_cpu_share,
    }
