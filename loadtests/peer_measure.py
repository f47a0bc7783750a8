"""What is measured of each peer: connecting, idle memory, and the loads, checked as the gateway's are."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, process_time

from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.measure import (
    LANES,
    PATIENCE_SECONDS,
    SETTLE_SECONDS,
    SINGLE,
    SINGLES_FULL,
    WARM_EVENTS,
    WARM_STREAMS,
    LoadResult,
    LossError,
    MemoryResult,
    await_all,
    full_speed,
    measured,
    one_by_one,
    verify,
)
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import Kind, Server

BURSTS = "bursts of 20 events"
BURST_EVENTS = 20
EVENT_BYTES = 100
LOADS = (SINGLE, BURSTS, SINGLES_FULL)
# What publishes to nobody in particular: the event is of no entity.
NOBODY = ""
ORDER = "order:ORDER-1"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much to do. Deliveries are events times streams; each load has at least one event or burst.

    `full_deliveries` says for each server how many deliveries publishing at full speed may give, so that a
    slow one does not take minutes; `publish_seconds` is the longest that it publishes.
    """

    single_deliveries: int
    burst_deliveries: int
    full_deliveries: dict[str, int]
    publish_seconds: float

    def singles(self, streams: int) -> int:
        """How many events are published one by one."""
        return min(100, max(2, self.single_deliveries // streams))

    def bursts(self, streams: int) -> int:
        """How many bursts are published."""
        return min(20, max(1, self.burst_deliveries // streams // BURST_EVENTS))

    def full(self, server: str, streams: int) -> int:
        """How many events are published at full speed, at most."""
        return max(LANES, self.full_deliveries[server] // streams)


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """Opening all streams of one server, 64 at once, each until it is subscribed. Shares are of one core."""

    server: str
    streams: int
    seconds: float
    cpu_us_per_connection: float
    server_cpu_share: float
    server_wait_share: float
    generator_cpu_share: float

    @property
    def per_second(self) -> float:
        """Streams opened in a second."""
        return self.streams / self.seconds


@dataclass(slots=True)
class Round:
    """What one fresh server gave; `problems` where it did not do its work, and what comes after is absent."""

    connect: ConnectResult | None = None
    memory: MemoryResult | None = None
    loads: tuple[LoadResult, ...] = ()
    problems: tuple[str, ...] = ()


def measure_peer(
    kind: Kind, streams: int, core: int, amounts: Amounts, loads: tuple[str, ...], progress: Progress
) -> Round:
    """One round: a fresh server, all streams, the loads. A failure ends the round and not the run."""
    found = Round()
    name = f"{kind.name}, {streams:,} streams"
    progress.phase(f"{name}: starting")
    try:
        with Server(kind, core) as server:
            _measure(server, streams, amounts, loads, progress, found)
    except LossError as error:
        found.problems = tuple(f"{name}: {text}" for text in (str(error), *error.problems))
    except (RunFailedError, OSError) as error:  # OSError: sockets and /proc of a server that fell
        found.problems = (f"{name}: {error}",)
    return found


def _measure(
    server: Server, streams: int, amounts: Amounts, loads: tuple[str, ...], progress: Progress, found: Round
) -> None:
    name = f"{server.kind}, {streams:,} streams"
    warm_up_streams(server, progress.tick, publishing=bool(loads))
    before = server.resident_bytes()
    with Crowd(server.address, server.dialect) as crowd:
        found.connect = connect(server, crowd, [Wanted("", (0,) * LANES)] * streams, progress)
        crowd.pump_for(SETTLE_SECONDS)
        found.memory = MemoryResult(server.kind, streams, before, server.resident_bytes())
        if not loads:
            if server.dialect.component:
                _reach_all(f"{name}: an event for all", crowd, progress)
            return
        with Publisher(crowd, lanes=LANES, event_bytes=EVENT_BYTES) as publisher:
            for load in loads:
                progress.phase(f"{name}: {load}")
                work = _work(load, server.kind, streams, amounts, crowd, publisher, progress.tick)
                result = measured(load, server, crowd, publisher, work)
                verify(f"{name}: {load}", crowd, publisher)
                found.loads += (result,)


def connect(server: Server, crowd: Crowd, wanted: list[Wanted], progress: Progress) -> ConnectResult:
    """Opens the streams; what that took of the server and of this process."""
    requests = crowd.requests(wanted)
    cpu, own, began = server.cpu(), process_time(), monotonic()
    crowd.open(wanted, PATIENCE_SECONDS, progress.tick, requests=requests)
    seconds = monotonic() - began
    used, own = server.cpu().since(cpu), process_time() - own
    return ConnectResult(
        server=server.kind,
        streams=len(wanted),
        seconds=seconds,
        cpu_us_per_connection=used.total_ns / 1e3 / len(wanted),
        server_cpu_share=used.total_ns / 1e9 / seconds,
        server_wait_share=used.waited_ns / 1e9 / seconds,
        generator_cpu_share=own / seconds,
    )


def _reach_all(where: str, crowd: Crowd, progress: Progress) -> None:
    """One event of the streams' entity, which every one of them has to get."""
    with Publisher(crowd, lanes=LANES) as publisher:
        one_by_one([ORDER], crowd, publisher, progress.tick)
        verify(where, crowd, publisher)


def warm_up_streams(server: Server, tick: Callable[[str], None], *, publishing: bool = True) -> None:
    """A few streams and events, closed again: what a first request loads belongs to no stream."""
    with Crowd(server.address, server.dialect) as crowd:
        crowd.open([Wanted("", (0,))] * WARM_STREAMS, PATIENCE_SECONDS, tick)
        if not publishing:
            return
        with Publisher(crowd, lanes=1, event_bytes=EVENT_BYTES) as publisher:
            for _ in range(WARM_EVENTS):
                publisher.offer([NOBODY], 1)
                await_all(crowd, crowd.received + WARM_STREAMS, publisher, tick)
            verify(f"{server.kind}: warm-up", crowd, publisher)


def _work(
    load: str,
    server: str,
    streams: int,
    amounts: Amounts,
    crowd: Crowd,
    publisher: Publisher,
    tick: Callable[[str], None],
) -> Callable[[], None]:
    if load == SINGLE:
        return lambda: one_by_one([NOBODY] * amounts.singles(streams), crowd, publisher, tick)
    if load == BURSTS:
        return lambda: bursts(amounts.bursts(streams), crowd, publisher, tick)
    names = [NOBODY] * amounts.full(server, streams)
    return lambda: full_speed(names, 1, amounts.publish_seconds, crowd, publisher, tick)


def bursts(count: int, crowd: Crowd, publisher: Publisher, tick: Callable[[str], None]) -> None:
    """So many bursts: 20 events over all lanes, one a request, wait until all have all, and as long again."""
    for _ in range(count):
        began = monotonic()
        full_speed([NOBODY] * BURST_EVENTS, 1, PATIENCE_SECONDS, crowd, publisher, tick)
        crowd.pump_for(monotonic() - began)
