"""Those who come back in a storm, and those who stayed: each a process of its own beside the server.

Both measure by the clock that all processes of a machine share (CLOCK_MONOTONIC). Whoever comes back has less
of a right to the core, so that those who stayed are not kept waiting by them but by the server alone.
"""

import gc
import os
import time
from array import array
from multiprocessing.connection import Connection
from typing import NamedTuple

from loadtests.crowd import Address, Crowd, RunFailedError, Wanted
from loadtests.measure import PATIENCE_SECONDS, LossError, await_all, verify
from loadtests.publisher import Publisher
from loadtests.side_process import failed

BACK, STAYED = "order:BACK", "order:STAYED"
NICER = 10
PUBLISHERS = 16
SECONDS = 300.0
"""How long all who come back together may take."""


class Back(NamedTuple):
    """What came of those who came back: when they began, were connected, and had all (monotonic, seconds).

    `parts` are samples of how many events had come by when; `cpu_seconds` is what their own process took.
    """

    began: float
    connected: float
    ended: float
    parts: tuple[tuple[float, int], ...]
    cpu_seconds: float


class Stayed(NamedTuple):
    """Of each event to each stream that stayed: when it was due (monotonic), and how long it took, in ns."""

    due_ns: array
    took_ns: array


def come_back(
    address: Address, clients: int, at_once: int, cursor: str, missed: int, pipe: Connection
) -> None:
    """Opens the streams with the cursor once it is told to, and reads until each has what it missed.

    Says "ready" before that. Then it sends a Back, and keeps the streams open until it is told to end.
    """
    os.nice(NICER)
    gc.disable()
    with Crowd(address) as crowd:
        wanted = [Wanted(BACK, (1,), cursor)] * clients
        requests = crowd.requests(wanted)
        pipe.send("ready")
        pipe.recv()
        parts: list[tuple[float, int]] = []

        def tick(_: str) -> None:
            parts.append((time.monotonic(), crowd.received))

        try:
            began, own = time.monotonic(), time.process_time()
            crowd.open(wanted, SECONDS, tick, requests=requests, at_once=at_once)
            connected = time.monotonic()
            crowd.pump_until(clients * missed, SECONDS, tick)
            ended, own = time.monotonic(), time.process_time() - own
            crowd.settle(lambda _: (1 + missed,))
            if crowd.problem_count:
                raise LossError("those who come back", crowd.problem_count, crowd.problems)
        except (LossError, RunFailedError, OSError) as error:
            pipe.send(failed(error))
            return
        pipe.send(Back(began, connected, ended, tuple(parts), own))
        pipe.recv()


def follow(address: Address, streams: int, every_s: float, pipe: Connection) -> None:
    """Streams of one entity, of which an event is published every so often until it is told to end.

    Says "ready" once they are open, and sends a Stayed at the end. An event does not wait for the answer to
    the one before: one publisher that did would be late for all that follow. What is due while PUBLISHERS are
    unanswered waits for one of them, and counts from when it was due.
    """
    gc.disable()
    try:
        with Crowd(address, each=True) as crowd, Publisher(crowd, lanes=PUBLISHERS) as publisher:
            crowd.open([Wanted(STAYED, (0,) * PUBLISHERS)] * streams, PATIENCE_SECONDS, lambda _: None)
            pipe.send("ready")
            found = _follow(crowd, publisher, every_s, pipe)
            await_all(crowd, publisher.published * streams, publisher, lambda _: None)
            _note(crowd, found)
            verify("those who stayed", crowd, publisher)
    except (LossError, RunFailedError, OSError) as error:
        pipe.send(failed(error))
        return
    pipe.send(found)


def _follow(crowd: Crowd, publisher: Publisher, every_s: float, pipe: Connection) -> Stayed:
    found = Stayed(array("q"), array("q"))
    due_ns, every_ns = time.monotonic_ns(), round(every_s * 1e9)
    while not pipe.poll():
        left_ns = due_ns - time.monotonic_ns()
        if left_ns <= 0 and publisher.offer([STAYED], 1, due_ns):
            due_ns += every_ns
        crowd.pump(min(every_s, max(0.001, left_ns / 1e9)))
        _note(crowd, found)
    return found


def _note(crowd: Crowd, found: Stayed) -> None:
    """Takes over the latencies that came since, with the moment from which each of them counts."""
    now_ns = time.monotonic_ns()
    for took_ns in crowd.latencies_ns[len(found.took_ns) :]:
        found.took_ns.append(took_ns)
        found.due_ns.append(now_ns - took_ns)
