"""The loads, and what is measured of a server while it carries them."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import KINDS, QUIET_KINDS, Server

SINGLE = "single events"
SINGLES_FULL = "full speed, one event a request"
BATCHES_FULL = "full speed, 100 events a request"

LANES = 8
BATCH = 100
# Full speed: publishing waits while the streams are this many events behind, on average.
BACKLOG_EVENTS = 2_000
WARM_STREAMS, WARM_EVENTS = 16, 50
SETTLE_SECONDS = 2.0
# Longer than the gateway's coalesce_ms, so that every event counts as the first after a quiet spell.
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 90.0
MOST_SINGLE_EVENTS = 100
NAMES = 100


class LossError(Exception):
    """Events were lost, doubled, out of order or misdirected. `problems` has the first ones."""

    def __init__(self, where: str, count: int, problems: Sequence[str]) -> None:
        super().__init__(f"{where}: {count:,} problems")
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to do. Deliveries are events times streams; at full speed at least one batch is published."""

    single_deliveries: int
    full_deliveries: dict[tuple[str, str], int]
    publish_seconds: float
    entity_rounds: int
    entity_events: int

    def single_events(self, streams: int) -> int:
        """How many events are published one by one to so many streams."""
        return min(MOST_SINGLE_EVENTS, max(1, self.single_deliveries // streams))

    def full_events(self, server: str, load: str, streams: int) -> int:
        """How many events a load at full speed has for so many streams."""
        floor = BATCH if load == BATCHES_FULL else LANES
        return max(floor, self.full_deliveries[server, load] // streams // floor * floor)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One load on one server. Shares are of one core; latencies are publish to receive.

    `server_wait_share` is the time in which the server had to wait for its core: something else ran there.
    """

    server: str
    streams: int
    load: str
    events: int
    deliveries: int
    seconds: float
    deliveries_per_second: float
    cpu_us_per_delivery: float
    cpu_system_share: float
    latency_p50_ms: float
    latency_p99_ms: float
    bytes_per_delivery: float
    server_cpu_share: float
    server_wait_share: float
    generator_cpu_share: float


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """Resident memory of a server before and with so many idle streams."""

    server: str
    streams: int
    before_bytes: int
    idle_bytes: int

    @property
    def bytes_per_stream(self) -> float:
        """What one idle stream adds."""
        return (self.idle_bytes - self.before_bytes) / self.streams


@dataclass(frozen=True, slots=True)
class EntityResult:
    """CPU for an event of one entity, where each stream asked for its own; one figure for each round."""

    server: str
    streams: int
    events_per_round: int
    cpu_us_per_event: list[float] = field(default_factory=list)

    @property
    def median_us(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.cpu_us_per_event)

    @property
    def spread_us(self) -> float:
        """The interquartile range over the rounds: what is called noise."""
        low, _, high = statistics.quantiles(self.cpu_us_per_event, n=4, method="inclusive")
        return high - low


class Session:
    """A fresh server with its crowd, for one number of streams. `run` measures all but the entities."""

    def __init__(self, kind: str, streams: int, core: int, plan: Plan, progress: Progress) -> None:
        self._kind = kind
        self._count = streams
        self._core = core
        self._plan = plan
        self._progress = progress

    def run(self) -> tuple[MemoryResult, list[LoadResult]]:
        """Memory first, then the loads. Raises LossError or RunFailedError."""
        name = f"{self._kind}, {self._count:,} streams"
        self._progress.phase(f"{name}: starting, opening streams")
        with Server(KINDS[self._kind], self._core) as server:
            warm_up(server, self._progress.tick)
            before = server.resident_bytes()
            with Crowd(server.address, server.dialect) as crowd, Publisher(crowd, lanes=LANES) as publisher:
                crowd.open([Wanted("", (0,) * LANES)] * self._count, PATIENCE_SECONDS, self._progress.tick)
                crowd.pump_for(SETTLE_SECONDS)
                memory = MemoryResult(self._kind, self._count, before, server.resident_bytes())
                results = []
                for load in (SINGLE, SINGLES_FULL, BATCHES_FULL):
                    self._progress.phase(f"{name}: {load}")
                    results.append(self._measure(load, server, crowd, publisher))
                    verify(f"{name}: {load}", crowd, publisher)
            refuse_children(server)
        return memory, results

    def _measure(self, load: str, server: Server, crowd: Crowd, publisher: Publisher) -> LoadResult:
        tick = self._progress.tick
        if load == SINGLE:
            singles = _names(self._plan.single_events(self._count))
            return measured(
                load, server, crowd, publisher, lambda: one_by_one(singles, crowd, publisher, tick)
            )
        batch = BATCH if load == BATCHES_FULL else 1
        names = _names(self._plan.full_events(self._kind, load, self._count))
        return measured(
            load,
            server,
            crowd,
            publisher,
            lambda: full_speed(names, batch, self._plan.publish_seconds, crowd, publisher, tick),
        )


def one_by_one(names: Sequence[str], crowd: Crowd, publisher: Publisher, tick: Callable[[str], None]) -> None:
    """An event, wait until every stream has it, and as long again: the server is busy half of the time."""
    for name in names:
        began = time.monotonic()
        publisher.offer([name], 1)
        await_all(crowd, crowd.received + len(crowd), publisher, tick)
        crowd.pump_for(max(PAUSE_SECONDS, time.monotonic() - began))


def full_speed(
    names: Sequence[str],
    batch: int,
    seconds: float,
    crowd: Crowd,
    publisher: Publisher,
    tick: Callable[[str], None],
) -> None:
    """A request on every lane as soon as its last is answered, for these events or so many seconds."""
    streams = len(crowd)
    began, target, taken = time.monotonic(), crowd.received, 0
    while taken < len(names) and time.monotonic() - began < seconds:
        offered = 0
        if target - crowd.received < BACKLOG_EVENTS * streams:
            offered = publisher.offer(names[taken : taken + batch * LANES], batch)
        taken += offered
        target += offered * streams
        crowd.pump(0.05)
        tick(f"{taken:,} of {len(names):,} events published")
    await_all(crowd, target, publisher, tick)


def measured(
    load: str, server: Server, crowd: Crowd, publisher: Publisher, work: Callable[[], None]
) -> LoadResult:
    """Does the work; the server's CPU, the time and the latencies between its beginning and its end."""
    del crowd.latencies_ns[:]
    received, published, size = crowd.received, publisher.published, crowd.bytes_read
    cpu, own, began = server.cpu(), time.process_time(), time.monotonic()
    work()
    seconds = time.monotonic() - began
    used, own = server.cpu().since(cpu), time.process_time() - own
    deliveries = crowd.received - received
    latencies = sorted(crowd.latencies_ns)
    return LoadResult(
        server=server.kind,
        streams=len(crowd),
        load=load,
        events=publisher.published - published,
        deliveries=deliveries,
        seconds=seconds,
        deliveries_per_second=deliveries / seconds,
        cpu_us_per_delivery=used.total_ns / 1e3 / deliveries,
        cpu_system_share=used.system_ns / used.total_ns,
        latency_p50_ms=latencies[len(latencies) // 2] / 1e6,
        latency_p99_ms=latencies[len(latencies) * 99 // 100] / 1e6,
        bytes_per_delivery=(crowd.bytes_read - size) / deliveries,
        server_cpu_share=used.total_ns / 1e9 / seconds,
        server_wait_share=used.waited_ns / 1e9 / seconds,
        generator_cpu_share=own / seconds,
    )


class EntitySide:
    """A gateway of which each stream asked for an entity of its own; `targets` are those that get events."""

    def __init__(self, kind: str, streams: int, targets: int, plan: Plan, progress: Progress) -> None:
        self.result = EntityResult(kind, streams, plan.entity_events)
        self._streams = streams
        self._targets = [_own(index * (streams // targets)) for index in range(targets)]
        self._progress = progress

    def start(self, stack: ExitStack, core: int) -> None:
        """Starts the server and opens the streams; the stack ends them."""
        self._progress.phase(f"{self.result.server}: {self._streams:,} streams with an entity each")
        self._server = stack.enter_context(Server(QUIET_KINDS[self.result.server], core))
        warm_up(self._server, self._progress.tick)
        self._crowd = stack.enter_context(Crowd(self._server.address, self._server.dialect))
        wanted = [Wanted(_own(index), (0,)) for index in range(self._streams)]
        self._crowd.open(wanted, PATIENCE_SECONDS, self._progress.tick)
        self._publisher = stack.enter_context(Publisher(self._crowd, lanes=1, per_entity=True))

    def round(self) -> None:
        """So many events, one by one, each for one of the targets; the CPU for one goes to the result."""
        events = self.result.events_per_round
        before = self._server.cpu()
        for number in range(events):
            self._publisher.offer([self._targets[number % len(self._targets)]], 1)
            await_all(self._crowd, self._crowd.received + 1, self._publisher, self._progress.tick)
            self._crowd.pump_for(PAUSE_SECONDS / 2)
        self.result.cpu_us_per_event.append(self._server.cpu().since(before).total_ns / 1e3 / events)

    def verify(self) -> None:
        """Raises LossError where a stream did not get its own events, once each, and nothing else."""
        verify(f"{self.result.server}, {self._streams:,} entities", self._crowd, self._publisher)
        refuse_children(self._server)


def measure_entities(
    kind: str, counts: tuple[int, int], core: int, plan: Plan, progress: Progress
) -> list[EntityResult]:
    """Streams with an entity each, and an event for one of them: few and many streams, in turns.

    Two servers live at once, so that a round of the one is followed by a round of the other and whatever
    else the machine does falls on both. As many streams are addressed in both.
    """
    sides = [EntitySide(kind, count, min(counts), plan, progress) for count in counts]
    with ExitStack() as stack:
        for side in sides:
            side.start(stack, core)
        progress.phase(f"{kind}: an event for one of {counts[0]:,} and of {counts[1]:,} streams, in turns")
        for number in range(plan.entity_rounds):
            for side in sides:
                side.round()
            progress.tick(f"round {number + 1} of {plan.entity_rounds}")
        for side in sides:
            side.verify()
    return [side.result for side in sides]


def warm_up(server: Server, tick: Callable[[str], None]) -> None:
    """A few streams and events, closed again: what a first request loads belongs to no stream."""
    with Crowd(server.address, server.dialect) as crowd, Publisher(crowd, lanes=1) as publisher:
        crowd.open([Wanted("", (0,))] * WARM_STREAMS, PATIENCE_SECONDS, tick)
        for number in range(WARM_EVENTS):
            publisher.offer([_name(number)], 1)
            await_all(crowd, crowd.received + WARM_STREAMS, publisher, tick)
        verify(f"{server.kind}: warm-up", crowd, publisher)


def await_all(crowd: Crowd, received: int, publisher: Publisher, tick: Callable[[str], None]) -> None:
    """Until so many events are there and every request is answered; LossError when they don't come."""
    complete = crowd.pump_until(received, PATIENCE_SECONDS, tick)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while complete and not publisher.idle:
        crowd.pump(0.1)
        if time.monotonic() > deadline:
            raise RunFailedError(f"a publish was not answered within {PATIENCE_SECONDS:.0f} s")
    if crowd.problem_count or not complete:
        verify("waiting for deliveries", crowd, publisher)


def verify(where: str, crowd: Crowd, publisher: Publisher) -> None:
    """Holds every stream against what was published, after a moment for what should not come any more."""
    crowd.pump_for(0.2)
    crowd.settle(publisher.counts)
    if crowd.problem_count:
        raise LossError(where, crowd.problem_count, crowd.problems)


def refuse_children(server: Server) -> None:
    """RunFailedError where a server has begun processes of its own, which none of these does."""
    if server.pids()[1:]:
        raise RunFailedError(f"the {server.kind} has child processes, and none was expected")


def _name(number: int) -> str:
    return f"order:ORDER-{number % NAMES}"


def _names(events: int) -> list[str]:
    return [_name(number) for number in range(events)]


def _own(index: int) -> str:
    return f"order:ORDER-{index}"
