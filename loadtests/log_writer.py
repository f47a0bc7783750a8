"""Commits numbered events into a log directly, past any gateway: a process of its own.

    python loadtests/log_writer.py --url postgres://... --events 1000 --rate 100

Says "ready" once the log is open, begins when it gets a line, and says at the end, as JSON, when it began and
how many events each lane has committed. A lane commits one after the other; its events are in order.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

# `python loadtests/log_writer.py` puts loadtests itself on the path, not the directory above it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.core.events import Event
from gateway.core.times import rfc3339
from gateway.ports.clock import SystemClock
from gateway.ports.log import EventLog
from gateway.service.settings import LogSettings, Settings
from gateway.service.wiring.logs import open_log
from loadtests.pacing import Pace, entity_name
from loadtests.publisher import numbered


class Writer:
    """`pace.lanes` lanes, each committing its events, `pace.batch` in a transaction."""

    def __init__(self, log: EventLog, pace: Pace) -> None:
        self._log = log
        self._pace = pace
        self._began_ns = 0
        self._taken = 0
        self._counts = [0] * pace.lanes

    async def run(self) -> dict[str, object]:
        """Commits them all, or what the time allows; what the process says at the end."""
        self._began_ns = time.monotonic_ns()
        work = self._full_speed if self._pace.rate is None else self._paced
        async with asyncio.TaskGroup() as tasks:
            for lane in range(self._pace.lanes):
                tasks.create_task(work(lane))
        return {"beganNs": self._began_ns, "counts": self._counts}

    async def _full_speed(self, lane: int) -> None:
        pace = self._pace
        give_up_ns = self._began_ns + round(pace.seconds * 1e9)
        while self._taken < pace.events and time.monotonic_ns() < give_up_ns:
            count = min(pace.batch, pace.events - self._taken)
            self._taken += count
            await self._commit(lane, count, time.monotonic_ns())

    async def _paced(self, lane: int) -> None:
        for index in range(lane, self._pace.events, self._pace.lanes):
            due_ns = self._pace.due_ns(self._began_ns, index)
            left_ns = due_ns - time.monotonic_ns()
            if left_ns > 0:
                await asyncio.sleep(left_ns / 1e9)
            await self._commit(lane, 1, self._pace.sent_ns(due_ns))

    async def _commit(self, lane: int, count: int, sent_ns: int) -> None:
        first = self._counts[lane]
        self._counts[lane] += count
        now = rfc3339(time.time_ns() // 1_000_000)
        await self._log.append([_event(lane, number, sent_ns, now) for number in range(first, first + count)])


def _event(lane: int, number: int, sent_ns: int, timestamp: str) -> Event:
    given = numbered(lane, number, entity_name(number), sent_ns)
    return Event(
        event_type=given["eventType"],
        entity_type=given["entityType"],
        entity_id=given["entityId"],
        action=given["action"],
        timestamp=timestamp,
        data=given["data"],
    )


async def write(url: str, pace: Pace) -> None:
    """Opens the log, waits for the word, commits, and reports on stdout."""
    log = open_log(Settings(log=LogSettings(url=url)), SystemClock())
    await log.start()
    try:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(await Writer(log, pace).run()), flush=True)
    finally:
        await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Commits numbered events into a log, past any gateway.")
    parser.add_argument("--url", required=True, help="the log: postgres://... or redis://...")
    Pace.add_options(parser)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write(options.url, Pace.of_options(options)))


if __name__ == "__main__":
    main()
