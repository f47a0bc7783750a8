"""Measures the logs: commit to client, sustained speed and catching up, through a gateway process.

    python loadtests/logs.py                        about five minutes: all logs, on servers of its own
    python loadtests/logs.py --logs redis --quick   under a minute, for a first look
    python loadtests/logs.py --postgres URL --redis URL     on servers of yours, in an empty database

The gateway runs alone on one core; the logs' servers, what commits into them and the subscriber share the
other. The subscriber checks that it gets every event once and in order. Exit codes: 0 measured (whether
the targets are met or not); 1 an event was lost, doubled or out of order, or a server failed; 2 the options
or this machine do not allow the run.
"""

import argparse
import asyncio
import gc
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import redis

# `python loadtests/logs.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.postgres.connection import connect
from adapters.postgres.migrations import install
from loadtests.bench import UsageError, choose_cores, exit_code, write_json
from loadtests.crowd import RunFailedError
from loadtests.log_loads import LANES, ByCommit, ByPost, Way, catch_up, fill, measure
from loadtests.log_report import LogReport, as_markdown, disturbances
from loadtests.measure import LossError, refuse_children, warm_up
from loadtests.pacing import Pace
from loadtests.progress import Progress
from loadtests.report import describe_machine
from loadtests.server import Server, gateway_on
from loadtests.stores import own_postgres, own_redis

LOGS = ("memory", "sqlite", "postgres", "redis")
RATES = (100.0, 1000.0)
BATCHES = (1, 100)
FILL_BATCH = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to do: seconds at each rate, at most so many seconds and events at full speed, events that
    a client is behind, and how often all of it is done."""

    paced_seconds: float
    full_seconds: float
    full_events: int
    behind: int
    rounds: int


FULL_PLAN = Plan(paced_seconds=3.0, full_seconds=2.0, full_events=40_000, behind=100_000, rounds=3)
QUICK_PLAN = Plan(paced_seconds=2.0, full_seconds=2.0, full_events=30_000, behind=30_000, rounds=1)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Measures the logs, through a gateway process.")
    parser.add_argument("--logs", default=",".join(LOGS), help=f"which, by commas ({','.join(LOGS)})")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    parser.add_argument(
        "--postgres", metavar="URL", help="an empty database of yours; default: an own server"
    )
    parser.add_argument("--redis", metavar="URL", help="a server of yours; default: an own server")
    return parser.parse_args(arguments)


def wanted_logs(options: argparse.Namespace) -> list[str]:
    """The logs to measure; raises UsageError for one that there is not."""
    asked = options.logs.split(",")
    if set(asked) - set(LOGS):
        raise UsageError(f"--logs takes {', '.join(LOGS)}, not {options.logs!r}")
    return [name for name in LOGS if name in asked]


class Store:
    """Where one log lives: `url` as the gateway is told, `ways` into it, `words` about it."""

    def __init__(self, name: str, url: str, words: str) -> None:
        self.name = name
        self.url = url
        self.words = words
        shared = name in ("postgres", "redis")
        self.ways: list[Way] = [ByCommit(url), ByPost()] if shared else [ByPost()]


@contextmanager
def opened(names: Sequence[str], options: argparse.Namespace) -> Iterator[list[Store]]:
    """The stores of these logs, those that are servers started. Raises StoreMissingError."""
    with ExitStack() as stack:
        stores = []
        for name in names:
            if name == "postgres":
                stores.append(postgres_store(options.postgres or stack.enter_context(own_postgres())))
            elif name == "redis":
                stores.append(redis_store(options.redis or stack.enter_context(own_redis())))
            elif name == "sqlite":
                words = f"SQLite {sqlite3.sqlite_version}, every commit synced to the disk"
                stores.append(Store(name, "sqlite:///events.db", words))
            else:
                stores.append(Store(name, "memory://", ""))
        yield stores


def postgres_store(url: str) -> Store:
    """A log in that database, which is installed where it is not yet there."""
    asyncio.run(_install(url))
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select current_setting('server_version'), current_setting('fsync'),"
                " current_setting('synchronous_commit')"
            )
            version, fsync, commit = cursor.fetchone()
    finally:
        connection.close()
    return Store("postgres", url, f"Postgres {version}, fsync {fsync}, synchronous_commit {commit}")


async def _install(url: str) -> None:
    session = await connect(url)
    try:
        await install(session)
    finally:
        session.close()


def redis_store(url: str) -> Store:
    """A log on that server."""
    # The query is the log's: redis-py does not know its parameters.
    with redis.Redis.from_url(url.partition("?")[0]) as client:
        version = client.info("server")["redis_version"]
        policy = client.config_get("append*")
    words = f"Redis {version}, appendonly {policy['appendonly']}, appendfsync {policy['appendfsync']}"
    return Store("redis", url, words)


class Session:
    """One log with a fresh gateway: `run` carries all loads once, and adds to the report as it goes."""

    def __init__(self, store: Store, plan: Plan, core: int, progress: Progress, report: LogReport) -> None:
        self._store = store
        self._plan = plan
        self._core = core
        self._progress = progress
        self._report = report

    def run(self) -> None:
        """Raises LossError or RunFailedError."""
        name = self._store.name
        self._progress.phase(f"{name}: starting")
        with Server(gateway_on(self._store.url), self._core) as server:
            warm_up(server, self._progress.tick)
            for way in self._store.ways:
                for rate in RATES:
                    events = round(rate * self._plan.paced_seconds)
                    self._load(way, Pace(events, LANES, rate=rate), server)
                for batch in BATCHES:
                    events, seconds = self._plan.full_events, self._plan.full_seconds
                    self._load(way, Pace(events, LANES, batch=batch, seconds=seconds), server)
            if name != "memory":
                self._catch_up(server)
            refuse_children(server)

    def _load(self, way: Way, pace: Pace, server: Server) -> None:
        speed = f"{pace.rate:,.0f} events/s" if pace.rate else f"full speed, {pace.batch} at a time"
        self._progress.phase(f"{self._store.name}, {way.name}: {speed}")
        self._report.results.append(measure(self._store.name, way, pace, server, self._progress.tick))

    def _catch_up(self, server: Server) -> None:
        name, way, tick = self._store.name, self._store.ways[0], self._progress.tick
        self._progress.phase(f"{name}: filling it")
        cursor, sent = fill(name, way, Pace(self._plan.behind, LANES, batch=FILL_BATCH), server, tick)
        self._progress.phase(f"{name}: catching up")
        self._report.results.append(catch_up(name, way, sent, cursor, server, tick))


def describe_sizes(plan: Plan) -> list[str]:
    """What was done, in words."""
    return [
        f"Rounds: {plan.rounds}, each with fresh gateways; medians. The gateway has a core to itself; the "
        "logs' servers, what publishes and the subscriber share the other.",
        f"By: *commit*, another process appends to the log; *POST*, to this gateway. {LANES} publishers.",
        "Latency: of every event, from asking for the commit to its arrival at the subscriber.",
        f"Sustained: as fast as it is taken, for {plan.full_seconds:.0f} s or {plan.full_events:,} events; "
        "from the first event's sending to the last one's arrival. *At a time*: in an append or request; "
        "appends that wait share a transaction.",
    ]


def carry(stores: Sequence[Store], plan: Plan, core: int, report: LogReport) -> None:
    """Fills the report as it goes, so that what was measured before a failure is kept."""
    progress = Progress()
    report.stores = [store.words for store in stores if store.words]
    try:
        for _ in range(plan.rounds):
            for store in stores:
                Session(store, plan, core, progress, report).run()
    except LossError as error:
        report.problems = [str(error), *error.problems]
    except RunFailedError as error:
        report.problems = [str(error)]
    finally:
        report.seconds = progress.elapsed_s


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    names = wanted_logs(options)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    if options.rounds is not None:
        plan = replace(plan, rounds=options.rounds)
    if plan.rounds < 1:
        raise UsageError("--rounds takes a number from 1")
    report = LogReport(
        command=shlex.join(["python", "loadtests/logs.py", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        sizes=describe_sizes(plan),
    )
    core, _ = choose_cores()
    # Only reference counts here: a collection would show up as a latency of the gateway.
    gc.disable()
    # After the cores are chosen: what is started here inherits the generator's.
    with opened(names, options) as stores:
        carry(stores, plan, core, report)
    print(as_markdown(report))
    for line in disturbances(report):
        print(f"Disturbed: {line}.", file=sys.stderr)
    print(f"Results: {write_json('logs', report.date, report.as_json())}", file=sys.stderr)
    if report.problems:
        print("FAILED: " + "\n  ".join(report.problems), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
