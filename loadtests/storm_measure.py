"""One storm: a restart, after which all clients come back at once, while some that are there get events."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.measure import BATCH, PATIENCE_SECONDS, full_speed, verify
from loadtests.peer_measure import warm_up_streams
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import CpuTime, Server
from loadtests.side_process import beside, heard
from loadtests.stores import own_redis
from loadtests.storm_clients import BACK, SECONDS, Back, Stayed, come_back, follow
from loadtests.watched_workers import longest_of_all, watched_workers

CONFIG = """
[server]
host = "127.0.0.1"
workers = {workers}

[log]
url = "{url}"
"""
QUIET_SECONDS = 1.0
"""How long those who stay are left alone before it counts what they get."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many come back, `at_once` of them under way, each after so many missed events; how many stay, and
    how often these get an event, in seconds, for how long before the storm."""

    clients: int
    at_once: int
    missed: int
    stayed: int
    every_s: float
    before_s: float
    workers: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How long events took to those who stayed, in ms, from when each was due."""

    p50_ms: float
    p99_ms: float
    longest_ms: float


@dataclass(frozen=True, slots=True)
class Storm:
    """What one storm came to. Shares are of one core, and seconds are from the first client's connecting.

    CPU is that of all of the server's processes, with what those who stayed got meanwhile. The longest turn
    of a loop is any worker's. `first_ms` is how long the first event took that was due in the storm, to the
    last of those who stayed.
    """

    way: str
    seconds: float
    seconds_connected: float
    seconds_half: float
    cpu_us_per_client: float
    server_cpu_share: float
    generator_cpu_share: float
    turn_cpu_ms: float
    turn_late_ms: float
    before: Delivery
    during: Delivery
    first_ms: float


def measure(way: str, sizes: Sizes, core: int, progress: Progress) -> Storm:
    """One storm, on a fresh log. Raises LossError or RunFailedError."""
    with own_redis() as url, TemporaryDirectory(prefix="storm-") as folder:
        kind = watched_workers(
            CONFIG.format(workers=sizes.workers, url=url), Path(folder), way, sizes.workers
        )
        progress.phase(f"{kind.name}: filling a log with {sizes.missed} events")
        with Server(kind, core) as server:
            cursor = _fill(server, sizes.missed, progress)
        with Server(kind, core) as server:
            warm_up_streams(server, progress.tick, publishing=False)
            progress.phase(f"{kind.name}: {sizes.stayed:,} stay, {sizes.clients:,} come back")
            back, stayed, used = _storm(server, sizes, cursor, progress)
        holds = longest_of_all(Path(folder), back.began, back.ended)
    seconds = back.ended - back.began
    before = due_between(stayed, back.began - sizes.before_s, back.began)
    during = due_between(stayed, back.began, max(back.ended, back.began + 2 * sizes.every_s))
    return Storm(
        way=kind.name,
        seconds=seconds,
        seconds_connected=back.connected - back.began,
        seconds_half=when_came(back, sizes.clients * sizes.missed // 2) - back.began,
        cpu_us_per_client=used.total_ns / 1e3 / sizes.clients,
        server_cpu_share=used.total_ns / 1e9 / seconds,
        generator_cpu_share=back.cpu_seconds / seconds,
        turn_cpu_ms=holds.cpu_ms,
        turn_late_ms=holds.late_ms,
        before=delivery_of([took for _, took in before]),
        during=delivery_of([took for _, took in during]),
        # Those of one event are due at the same moment, but for what it takes to read them.
        first_ms=max(took for due, took in during if due - during[0][0] < sizes.every_s * 5e8) / 1e6,
    )


def due_between(stayed: Stayed, began: float, ended: float) -> list[tuple[int, int]]:
    """When each was due, and how long it took, of what was due between two moments, in the order of both."""
    pairs = zip(stayed.due_ns, stayed.took_ns, strict=True)
    found = sorted((due, took) for due, took in pairs if began * 1e9 <= due < ended * 1e9)
    if not found:
        raise RunFailedError(f"no event was due within {ended - began:.2f} s: let the storm be larger")
    return found


def delivery_of(took_ns: Sequence[int]) -> Delivery:
    """What so many latencies come to."""
    ordered = sorted(took_ns)
    places = (len(ordered) // 2, len(ordered) * 99 // 100, len(ordered) - 1)
    return Delivery(*(ordered[place] / 1e6 for place in places))


def when_came(back: Back, events: int) -> float:
    """When so many events had come to those who came back."""
    return next((moment for moment, received in back.parts if received >= events), back.ended)


def _fill(server: Server, missed: int, progress: Progress) -> str:
    """Publishes what is missed, and one event before it, whose cursor it gives."""
    with Crowd(server.address) as crowd, Publisher(crowd, lanes=1, per_entity=True) as publisher:
        crowd.open([Wanted(BACK, (0,))], PATIENCE_SECONDS, progress.tick)
        full_speed([BACK], 1, PATIENCE_SECONDS, crowd, publisher, progress.tick)
        cursor = publisher.last_cursor
        full_speed([BACK] * missed, BATCH, PATIENCE_SECONDS, crowd, publisher, progress.tick)
        verify("filling the log", crowd, publisher)
        return cursor


def _storm(server: Server, sizes: Sizes, cursor: str, progress: Progress) -> tuple[Back, Stayed, CpuTime]:
    with (
        beside(follow, server.address, sizes.stayed, sizes.every_s) as followers,
        beside(come_back, server.address, sizes.clients, sizes.at_once, cursor, sizes.missed) as returners,
    ):
        for pipe in (followers, returners):
            heard(pipe, PATIENCE_SECONDS, progress.tick)
        time.sleep(QUIET_SECONDS + sizes.before_s)
        cpu = server.cpu()
        returners.send("go")
        back = heard(returners, SECONDS, progress.tick)
        used = server.cpu().since(cpu)
        server.refuse_fallen()
        # For what is due in a storm that is over soon.
        time.sleep(2 * sizes.every_s)
        followers.send("end")
        stayed = heard(followers, PATIENCE_SECONDS, progress.tick)
        returners.send("end")
    return back, stayed, used
