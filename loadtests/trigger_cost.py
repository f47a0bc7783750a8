"""Measures what table capture costs a statement, on a captured table beside one that is not.

    python loadtests/trigger_cost.py                on a server of its own, about 20 s
    python loadtests/trigger_cost.py --url URL      in an empty database of a server of yours
    python loadtests/trigger_cost.py --markdown     the tables as docs/performance.md has them
    python loadtests/trigger_cost.py --as "select * from row"       with a query of the row

Every statement is a transaction of its own, and its commit reaches the disk. The two tables take turns, so
that whatever else the machine does meets both. What the triggers took is what EXPLAIN ANALYZE says.
Exit codes: 0 measured (whether the target is met or not); 1 an event is missing, doubled or wrong; 2 there
is no Postgres here.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

# `python loadtests/trigger_cost.py` puts loadtests itself on the path, not the directory above it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.postgres.capture import Capture, apply, capture
from adapters.postgres.connection import connect
from adapters.postgres.migrations import install
from loadtests.report import describe_machine
from loadtests.stores import StoreMissingError, own_postgres

TARGET_MS = 5.0
WARM_UP = 50
BULK_ROWS = 1000
BULK_EVERY = 25
TABLES = ("tidegate_bench_plain", "tidegate_bench_captured")
CREATE = """
create table {table} (
    id bigint primary key, order_stage text not null, payment_stage text, total numeric(12, 2),
    customer_id bigint, note text, tags text[], document jsonb, made timestamptz not null default now(),
    secret text
)
"""
WANTED = Capture(
    entity="order",
    key="id",
    without=["secret"],
    changes={"order_stage": "stage_change", "payment_stage": "payment_update"},
)
CHECK = """
select count(*)
from sync_events as e
where e.entity_type <> 'order' or e.data is null or e.data::text like '%secret%'
    or (e.action = 'insert') <> (e.previous is null)
    or e.event_type = 'stage_change' and (
        e.data ->> 'newStage' is distinct from e.data ->> 'order_stage'
        or e.data ->> 'previousStage' is distinct from e.previous ->> 'order_stage'
    )
"""


class Load(NamedTuple):
    """A statement, and the types of the events that it makes."""

    name: str
    sql: str
    kinds: Sequence[str]
    is_bulk: bool = False


LOADS = (
    Load(
        "insert of one row",
        "insert into {table} values ({n}, 'new', 'open', 12.50, 42, 'as ever', '{{a,b}}',"
        " '{{\"lines\": [1, 2, 3]}}', now(), 'x')",
        ["order_created"],
    ),
    Load(
        "update of one row, one event",
        "update {table} set order_stage = 'paid' where id = {n}",
        ["stage_change"],
    ),
    Load(
        "update of one row, two events",
        "update {table} set payment_stage = 'done', total = total + 1 where id = {n}",
        ["payment_update", "order_updated"],
    ),
    Load("update of one row, no event", "update {table} set secret = 'y' where id = {n}", []),
    Load("delete of one row", "delete from {table} where id = {n}", ["order_deleted"]),
    Load(
        f"insert of {BULK_ROWS} rows",
        "insert into {table} (id, order_stage) select r, 'new' from generate_series(1, {rows}) as r",
        ["order_created"] * BULK_ROWS,
        is_bulk=True,
    ),
    Load(
        f"update of {BULK_ROWS} rows",
        "update {table} set order_stage = 'paid'",
        ["stage_change"] * BULK_ROWS,
        is_bulk=True,
    ),
    Load(f"delete of {BULK_ROWS} rows", "delete from {table}", ["order_deleted"] * BULK_ROWS, is_bulk=True),
)


class WrongEventsError(Exception):
    """The log does not hold what the statements did."""


@dataclass(slots=True)
class Timing:
    """Milliseconds of one statement: a round trip by table, and what its triggers took."""

    plain: list[float] = field(default_factory=list)
    captured: list[float] = field(default_factory=list)
    trigger: list[float] = field(default_factory=list)


class Bench:
    """The two tables, and a connection that writes to them; `expected` counts the events by their type."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.expected: Counter[str] = Counter()
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        for table in TABLES:
            self.sql(CREATE.format(table=table))

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description is not None else []

    def run(self, load: Load, number: int, timing: Timing) -> None:
        """Runs the statement once on either table, and on the captured one once more, explained."""
        plain, captured = TABLES
        for table, times in ((plain, timing.plain), (captured, timing.captured)):
            text = load.sql.format(table=table, n=number, rows=BULK_ROWS)
            start = time.perf_counter()
            self.sql(text)
            times.append((time.perf_counter() - start) * 1000)
        self.expected.update(load.kinds)
        if not load.is_bulk:
            text = load.sql.format(table=captured, n=-number - 1)
            ((plan,),) = self.sql(f"explain (analyze, format json) {text}")
            timing.trigger.append(sum(trigger["Time"] for trigger in plan[0]["Triggers"]))
            self.expected.update(load.kinds)

    def check(self) -> None:
        """Raises WrongEventsError where the log does not hold what the statements did."""
        found = Counter(dict(self.sql("select event_type, count(*) from sync_events group by event_type")))
        if found != self.expected:
            raise WrongEventsError(f"events in the log: {dict(found)}; expected: {dict(self.expected)}")
        ((wrong,),) = self.sql(CHECK)
        if wrong:
            raise WrongEventsError(f"{wrong} events in the log say something wrong")

    def close(self) -> None:
        for table in TABLES:
            self.sql(f"drop table {table}")
        self._connection.close()


def measure(bench: Bench, rounds: int) -> dict[str, Timing]:
    """Rounds of all statements; the first ones only warm up."""
    timings: dict[str, Timing] = {}
    for number in range(WARM_UP + rounds):
        if number == WARM_UP:
            timings = {}
        for load in LOADS:
            if not load.is_bulk or number % BULK_EVERY == 0:
                bench.run(load, number, timings.setdefault(load.name, Timing()))
    return timings


async def prepare(url: str, query: str | None) -> None:
    """Installs the log's schema where it is missing, and captures one of the tables, maybe with a query."""
    session = await connect(url)
    try:
        await install(session)
        await apply(session, await capture(session, TABLES[1], replace(WANTED, query=query)), lock_seconds=5)
    finally:
        session.close()


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def rows(timings: dict[str, Timing]) -> list[tuple[str, ...]]:
    """One line for each statement, in milliseconds."""
    head = (
        "statement",
        "plain p50 ms",
        "captured p50 ms",
        "difference ms",
        "trigger p50 ms",
        "trigger p99 ms",
    )
    lines: list[tuple[str, ...]] = [head]
    for name, timing in timings.items():
        plain, captured = statistics.median(timing.plain), statistics.median(timing.captured)
        trigger = [percentile(timing.trigger, share) for share in (0.5, 0.99)] if timing.trigger else []
        shown = [f"{value:.2f}" for value in (plain, captured, captured - plain, *trigger)]
        lines.append((name, *shown, *[""] * (len(head) - 1 - len(shown))))
    return lines


def report(timings: dict[str, Timing], server: str, rounds: int, *, markdown: bool) -> list[str]:
    """The machine, the table, and whether the target is met."""
    machine = describe_machine()
    worst = max(statistics.fmean(timing.trigger) for timing in timings.values() if timing.trigger)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}: {machine['cpu']}, {machine['cores']} cores,"
        f" {machine['memoryGiB']} GiB, Linux {machine['kernel']}, load {machine['loadAverageAtStart']:.1f};"
        f" {server}; {rounds} rounds.",
        "",
    ]
    table = rows(timings)
    if markdown:
        lines += [f"| {' | '.join(line)} |" for line in table]
        lines.insert(3, "| --- |" + " ---: |" * (len(table[0]) - 1))
    else:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            lines.append("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    verdict = "met" if worst < TARGET_MS else "not met"
    target = f"Triggers of a single-row statement under {TARGET_MS:g} ms on average"
    return [*lines, "", f"{target}: {worst:.2f} ms at most, {verdict}."]


def database(url: str | None) -> AbstractContextManager[str]:
    """`url`, or a server of our own, which writes its commits to the disk as one in production does."""
    return own_postgres() if url is None else nullcontext(url)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures what table capture costs a statement.")
    parser.add_argument(
        "--url", help="a database without a log, on a server of yours; default: a server of its own"
    )
    parser.add_argument("--rounds", type=int, default=500, help="how often each single-row statement is run")
    parser.add_argument(
        "--as", dest="query", help="a query of the row that has its order_stage and payment_stage"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the table as docs/performance.md has it"
    )
    options = parser.parse_args(arguments)
    try:
        return run(options, parser)
    except WrongEventsError as error:
        print(error, file=sys.stderr)
        return 1
    except StoreMissingError as error:
        print(error, file=sys.stderr)
        return 2


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Measures and prints. Raises WrongEventsError, and StoreMissingError."""
    with database(options.url) as url, closing(Bench(url)) as bench:
        asyncio.run(prepare(url, options.query))
        if bench.sql("select from sync_events limit 1"):
            parser.error("the log in that database holds events, so what is measured could not be checked")
        timings = measure(bench, options.rounds)
        ((version,),) = bench.sql("show server_version")
        bench.check()
    print("\n".join(report(timings, f"Postgres {version}", options.rounds, markdown=options.markdown)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
