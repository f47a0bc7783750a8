"""The loads on one log, and what is measured of a gateway that follows it for one subscriber."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from loadtests.crowd import Address, Crowd, RunFailedError, Wanted
from loadtests.measure import LossError
from loadtests.pacing import Pace, entity_name
from loadtests.publisher import Publisher
from loadtests.server import Server

LANES = 32
# Publishing over HTTP waits while the subscriber is this many events behind.
BACKLOG_EVENTS = 5_000
PATIENCE_SECONDS = 60.0
POLL_PATH = "/api/v1/sync/poll"
WRITER = Path(__file__).parent / "log_writer.py"

Tick = Callable[[str], None]


class Sent(NamedTuple):
    """When publishing began (monotonic), and how many events each lane has published."""

    began_ns: int
    counts: tuple[int, ...]


class Way(Protocol):
    """A way into the log. `send` returns once everything is answered, and reads the crowd meanwhile."""

    name: str

    def send(self, pace: Pace, crowd: Crowd, tick: Tick) -> Sent: ...


class ByCommit:
    """Another process commits into the log of `url`; the gateway only reads it."""

    name = "commit"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, pace: Pace, crowd: Crowd, tick: Tick) -> Sent:
        command = (sys.executable, str(WRITER), f"--url={self._url}", *pace.as_options())
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                if process.stdout.readline() != "ready\n":
                    raise RunFailedError("the process that commits into the log did not start")
                process.stdin.write("go\n")
                process.stdin.flush()
                give_up = time.monotonic() + PATIENCE_SECONDS + pace.seconds
                while process.poll() is None:
                    crowd.pump(0.02)
                    tick(f"{crowd.received:,} of {pace.events:,} events received")
                    if time.monotonic() > give_up:
                        raise RunFailedError("the process that commits into the log does not end")
                if process.returncode:
                    raise RunFailedError("the process that commits into the log failed")
                said = json.loads(process.stdout.readline())
            finally:
                if process.poll() is None:
                    process.kill()
        return Sent(said["beganNs"], tuple(said["counts"]))


class ByPost:
    """Published to the gateway itself, over keep-alive connections."""

    name = "POST"

    def send(self, pace: Pace, crowd: Crowd, tick: Tick) -> Sent:
        with Publisher(crowd, lanes=pace.lanes) as publisher:
            began_ns = time.monotonic_ns()
            work = self._full_speed if pace.rate is None else self._paced
            work(pace, crowd, publisher, tick)
            give_up = time.monotonic() + PATIENCE_SECONDS
            while not publisher.idle:
                crowd.pump(0.1)
                if time.monotonic() > give_up:
                    raise RunFailedError(f"a publish was not answered within {PATIENCE_SECONDS:.0f} s")
            return Sent(began_ns, publisher.counts(""))

    def _full_speed(self, pace: Pace, crowd: Crowd, publisher: Publisher, tick: Tick) -> None:
        began, first, taken = time.monotonic(), crowd.received, 0
        while taken < pace.events and time.monotonic() - began < pace.seconds:
            if not len(crowd) or taken - (crowd.received - first) < BACKLOG_EVENTS:
                most = min(pace.batch * pace.lanes, pace.events - taken)
                names = [entity_name(number) for number in range(taken, taken + most)]
                taken += publisher.offer(names, pace.batch)
            crowd.pump(0.05)
            tick(f"{taken:,} of {pace.events:,} events published")

    def _paced(self, pace: Pace, crowd: Crowd, publisher: Publisher, tick: Tick) -> None:
        began_ns = time.monotonic_ns()
        for index in range(pace.events):
            due_ns = pace.due_ns(began_ns, index)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                crowd.pump(left_ns / 1e9)
            give_up_ns = due_ns + round(PATIENCE_SECONDS * 1e9)
            while not publisher.offer([entity_name(index)], 1, pace.sent_ns(due_ns)):
                crowd.pump(0.05)
                if time.monotonic_ns() > give_up_ns:
                    raise RunFailedError(f"no publish was answered within {PATIENCE_SECONDS:.0f} s")
            tick(f"{index:,} of {pace.events:,} events published")


@dataclass(frozen=True, slots=True)
class Result:
    """What one load brought. Shares are of one core.

    `kind`: "paced", "full speed" or "catch-up". Latencies are those of each event, from asking for the commit
    or the POST to its arrival. `seconds` go from the first event's sending to the last one's arrival.
    """

    log: str
    way: str
    kind: str
    batch: int
    rate: float | None
    events: int
    seconds: float
    latency_p50_ms: float
    latency_p99_ms: float
    cpu_us_per_event: float
    server_cpu_share: float
    server_wait_share: float
    generator_cpu_share: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


def measure(log: str, way: Way, pace: Pace, server: Server, tick: Tick) -> Result:
    """Publishes to one subscriber who is at the head. Raises LossError or RunFailedError."""
    kind = "full speed" if pace.rate is None else "paced"
    with Crowd(server.address, each=True) as crowd:
        crowd.open([Wanted("", (0,) * pace.lanes)], PATIENCE_SECONDS, tick)
        return _measured(log, way.name, kind, pace, server, crowd, lambda: way.send(pace, crowd, tick), tick)


def catch_up(log: str, way: Way, sent: Sent, cursor: str, server: Server, tick: Tick) -> Result:
    """A subscriber comes with a cursor from before `sent`. Raises LossError or RunFailedError."""
    pace = Pace(events=sum(sent.counts), lanes=len(sent.counts))

    def resume() -> Sent:
        began_ns = time.monotonic_ns()
        crowd.open([Wanted("", (0,) * pace.lanes, cursor)], PATIENCE_SECONDS, tick)
        return Sent(began_ns, sent.counts)

    with Crowd(server.address, each=True) as crowd:
        return _measured(log, way.name, "catch-up", pace, server, crowd, resume, tick)


def _measured(
    log: str,
    way: str,
    kind: str,
    pace: Pace,
    server: Server,
    crowd: Crowd,
    work: Callable[[], Sent],
    tick: Tick,
) -> Result:
    cpu, own = server.cpu(), time.process_time()
    sent = work()
    events = sum(sent.counts)
    complete = crowd.pump_until(events, PATIENCE_SECONDS, tick)
    seconds = (time.monotonic_ns() - sent.began_ns) / 1e9
    used, own = server.cpu().since(cpu), time.process_time() - own
    _verify(f"{log}, {way}, {kind}", crowd, sent, complete=complete)
    latencies = sorted(crowd.latencies_ns) or [0]
    return Result(
        log=log,
        way=way,
        kind=kind,
        batch=pace.batch,
        rate=pace.rate,
        events=events,
        seconds=seconds,
        latency_p50_ms=latencies[len(latencies) // 2] / 1e6,
        latency_p99_ms=latencies[len(latencies) * 99 // 100] / 1e6,
        cpu_us_per_event=used.total_ns / 1e3 / events,
        server_cpu_share=used.total_ns / 1e9 / seconds,
        server_wait_share=used.waited_ns / 1e9 / seconds,
        generator_cpu_share=own / seconds,
    )


def _verify(where: str, crowd: Crowd, sent: Sent, *, complete: bool) -> None:
    """LossError where the stream did not get every event, once and in its publisher's order."""
    if complete:
        # For what should not come any more.
        crowd.pump_for(0.2)
    crowd.settle(lambda entity: sent.counts)
    if crowd.problem_count:
        raise LossError(where, crowd.problem_count, crowd.problems)


def present_cursor(address: Address, fields: Mapping[str, str] | None = None) -> str:
    """The cursor of the gateway's head, from a poll with these header fields. Raises RunFailedError."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", POLL_PATH, headers=dict(fields or {}))
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        raise RunFailedError(f"a poll failed: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RunFailedError(f"a poll was answered {answer.status}")
    cursor: str = json.loads(body)["cursor"]
    return cursor


def fill(log: str, way: Way, pace: Pace, server: Server, tick: Tick) -> tuple[str, Sent]:
    """Publishes, and gives the cursor from before; a subscriber has seen by then that all of it is there."""
    cursor = present_cursor(server.address)
    with Crowd(server.address) as crowd:
        crowd.open([Wanted("", (0,) * pace.lanes)], PATIENCE_SECONDS, tick)
        sent = way.send(pace, crowd, tick)
        complete = crowd.pump_until(sum(sent.counts), PATIENCE_SECONDS, tick)
        _verify(f"{log}, filling it", crowd, sent, complete=complete)
    return cursor, sent
