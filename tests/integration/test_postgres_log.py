"""The log in Postgres beyond what every log promises."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class

from adapters.postgres.log import PostgresLog, Timing
from gateway.core.errors import LogError, UnknownPosition
from gateway.core.events import ORIGIN, Position, Record
from gateway.core.history import History
from gateway.delivery.replay.preload import warm
from gateway.ports.clock import SystemClock
from gateway.ports.log import ONCE_SECONDS, Appended
from gateway.runtime.log_pages import PAGE_BYTES
from tests.support.events import an_event, large_events
from tests.support.postgres import connected, database_of, execute, log_database, log_schema, server_url
from tests.support.postgres_log import SELDOM, eventually, follow, opened

INSERT = "insert into sync_events (event_type, action, data) values ('changed', 'signal', %s)"
INSERT_AT = "insert into sync_events (event_type, action, recorded_at) values ('changed', 'signal', %s)"
AGE = "update sync_events set recorded_at = now() - interval '2 hours' where entity_id = any(%s)"
LOCK = "select pg_advisory_lock(hashtext('sync_events'), 'sync_events'::regclass::oid::integer)"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with log_schema() as url:
        yield url


@pytest.fixture
async def own_database() -> AsyncIterator[str]:
    async with log_database() as url:
        yield url


@pytest.fixture
async def log(url: str) -> AsyncIterator[PostgresLog]:
    async with opened(url) as log:
        yield log


def ids(records: Sequence[Record]) -> list[str | None]:
    return [record.event.entity_id for record in records]


async def append(log: PostgresLog, count: int, first: int = 0) -> list[Position]:
    return [
        position
        for number in range(first, first + count)
        for position in (await log.append([an_event(f"order:{number}")])).positions
    ]


async def announcements(connection: Connection) -> list[str]:
    """The payloads that have come so far; they come in the order of the commits."""
    execute(connection, "notify sync_events, 'so far'")
    payloads: list[str] = []

    def is_all() -> bool:
        connection.poll()
        payloads[:] = [notice.payload for notice in connection.notifies]
        return "so far" in payloads

    await eventually(is_all, "the notifications come")
    return payloads[:-1]


async def test_two_nodes_share_one_epoch_and_every_position(url: str, log: PostgresLog) -> None:
    async with opened(url) as other:
        assert other.epoch == log.epoch
        positions = await append(log, 3)
        assert [record.position for record in await other.read(ORIGIN, 10)] == positions
        assert await other.bounds() == await log.bounds()


async def test_two_logs_of_one_server_have_an_epoch_each(log: PostgresLog) -> None:
    async with log_schema() as url, opened(url) as other:
        assert other.epoch != log.epoch


async def test_a_batch_is_one_transaction_in_its_own_order(log: PostgresLog) -> None:
    positions = (await log.append([an_event(f"order:{number}") for number in range(100)])).positions
    assert len({position.major for position in positions}) == 1
    assert ids(await log.read(ORIGIN, 1000)) == [str(number) for number in range(100)]


async def test_an_append_that_the_server_refuses_is_no_loss_of_those_beside_it(log: PostgresLog) -> None:
    good, refused, also_good = await asyncio.gather(
        log.append([an_event("order:1")]),
        log.append([an_event("order:2", event_type="no name")]),
        log.append([an_event("order:3")]),
        return_exceptions=True,
    )
    assert isinstance(refused, LogError)
    records = await log.read(ORIGIN, 10)
    assert ids(records) == ["1", "3"]
    assert [good, also_good] == [Appended(log.epoch, [record.position]) for record in records]


async def test_an_append_wakes_the_readers_of_other_nodes(url: str, log: PostgresLog) -> None:
    async with opened(url, timing=Timing(notified=SELDOM, probe=SELDOM, retention=SELDOM)) as other:
        await eventually(lambda: other.health().is_listening, "it listens")
        reader = asyncio.create_task(follow(other, ORIGIN, lambda record: True))
        await other.bounds()
        await append(log, 1)
        assert ids(await reader) == ["0"]


async def test_what_a_tail_catches_up_with_is_decoded_in_small_pages(log: PostgresLog) -> None:
    await log.append(large_events(500))
    batches: list[int] = []
    tail = log.tail(ORIGIN)
    while sum(batches) < 500:
        batches.append(len(await anext(tail)))
    assert max(batches) * 6000 <= PAGE_BYTES
    assert sum(batches) == 500


async def test_a_row_that_any_application_inserts_is_an_event(url: str, log: PostgresLog) -> None:
    with connected(url) as connection:
        execute(connection, INSERT, ('{"b": 1.50, "a": "x\\u0000y"}',))
    (record,) = await log.read(ORIGIN, 10)
    assert record.event.data is not None
    assert list(record.event.data.items()) == [("b", 1.5), ("a", "x\0y")]
    assert record.event.action == "signal"
    assert record.event.timestamp.endswith("Z")


async def test_without_notify_nothing_is_announced_and_nothing_listened_to(own_database: str) -> None:
    async with opened(own_database, notify=False) as log:
        with connected(own_database) as connection:
            execute(connection, "listen sync_events")
            await append(log, 3)
            assert await announcements(connection) == []
            assert execute(
                connection,
                "select count(*) from pg_stat_activity where query ilike 'listen %' and"
                " pid <> pg_backend_pid() and datname = current_database()",
            ) == [(0,)]
        assert not log.health().is_listening
        assert len(await follow(log, ORIGIN, lambda record: record.event.entity_id == "2")) == 3


async def test_with_notify_one_announcement_says_nothing_but_look(url: str, log: PostgresLog) -> None:
    with connected(url) as connection:
        execute(connection, "listen sync_events")
        await log.append([an_event("order:1"), an_event("order:2")])
        assert await announcements(connection) == [""]


@pytest.mark.parametrize("data", ['{"x": "\\ud800"}', '{"x": 1e999}', '{"x":' + "[" * 300 + "]" * 300 + "}"])
async def test_a_row_that_no_json_text_can_carry_is_left_out_and_counted(
    url: str, log: PostgresLog, data: str
) -> None:
    with connected(url) as connection:
        for _ in range(3):
            execute(connection, INSERT, (data,))
    await append(log, 1)
    # Fewer fit into the page than cannot be read.
    assert ids(await log.read(ORIGIN, 2)) == ["0"]
    assert log.health().unreadable_events == 3


UNREADABLE = '{"a": 1e999}'


async def test_the_head_is_an_event_that_a_node_holds_also_after_rows_that_can_not_be_read(
    url: str, log: PostgresLog
) -> None:
    (position,) = await append(log, 1)
    with connected(url) as connection:
        for _ in range(50):
            execute(connection, INSERT, (UNREADABLE,))
    head = (await log.bounds()).head
    assert head == position == (await log.bounds()).head
    history = History(max_events=10, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
    await warm(log, history, SystemClock())
    assert history.resolve(history.cursor_at(head)) == history.head
    await append(log, 1, first=1)
    assert ids(await log.read(head, 10)) == ["1"]
    assert (await log.bounds()).head > head


async def test_the_newest_come_from_before_rows_that_can_not_be_read(url: str, log: PostgresLog) -> None:
    await append(log, 5)
    with connected(url) as connection:
        for _ in range(50):
            execute(connection, INSERT, (UNREADABLE,))
    await append(log, 1, first=5)
    assert ids(await log.latest(1)) == ["5"]
    assert ids(await log.latest(3)) == ["3", "4", "5"]
    assert ids(await log.latest(100)) == ["0", "1", "2", "3", "4", "5"]


async def test_the_head_of_a_log_of_which_nothing_can_be_read_is_its_floor(
    url: str, log: PostgresLog
) -> None:
    with connected(url) as connection:
        execute(connection, INSERT, (UNREADABLE,))
    bounds = await log.bounds()
    assert bounds.head == bounds.floor


async def test_a_reader_may_go_on_from_a_row_that_can_not_be_read(url: str, log: PostgresLog) -> None:
    with connected(url) as connection:
        execute(connection, INSERT, (UNREADABLE,))
        ((major, minor),) = execute(connection, "select xid::text, id from sync_events")
    await append(log, 1)
    assert ids(await log.read(Position(int(major), minor), 10)) == ["0"]
    with pytest.raises(UnknownPosition):
        await log.read(Position(int(major), minor - 1), 10)


async def test_what_is_still_gated_is_neither_head_nor_latest(url: str, log: PostgresLog) -> None:
    (first,) = await append(log, 1)
    with connected(url) as connection:
        execute(connection, "begin")
        execute(connection, "select pg_current_xact_id()")
        await append(log, 1, first=1)
        assert (await log.bounds()).head == first
        assert ids(await log.latest(10)) == ["0"]
        execute(connection, "rollback")
    assert ids(await log.latest(10)) == ["0", "1"]


async def test_a_log_without_its_bounds_says_so(url: str, log: PostgresLog) -> None:
    with connected(url) as connection:
        execute(connection, "delete from sync_events_bounds")
        with pytest.raises(LogError, match="bounds lost its only row"):
            await log.bounds()
        before = log.epoch
        execute(connection, "insert into sync_events_bounds default values")
    await log.bounds()
    assert log.epoch != before


async def test_counting_waits_until_enough_has_come_since_the_last_time(url: str) -> None:
    async with opened(url, max_events=40) as log:
        await append(log, 50)
        assert await log.prune() == 10
        await append(log, 2)
        assert await log.prune() == 0
        await append(log, 1)
        assert await log.prune() == 3


async def test_the_newest_are_kept_by_count(url: str) -> None:
    async with opened(url, max_events=7) as log:
        positions = await append(log, 20)
        assert await log.prune() == 13
        assert await log.bounds() == (positions[12], positions[-1])
        assert ids(await log.read(positions[12], 100)) == [str(number) for number in range(13, 20)]
        assert await log.prune() == 0


async def test_retention_takes_as_many_batches_as_it_needs(url: str) -> None:
    async with opened(url, max_events=10) as log:
        await log.append([an_event(f"order:{number}") for number in range(2510)])
        assert await log.prune() == 2500
        assert log.health().pruned_events == 2500


@pytest.mark.parametrize(
    ("recorded_at", "recorded_ms"),
    [
        ("2026-11-20T12:30:00.123999+02:00", 1_795_170_600_123),
        ("infinity", math.inf),
        ("-infinity", 0.0),
        ("1066-10-14T00:00:00Z", 0.0),
    ],
)
async def test_a_record_says_when_its_row_was_written_whatever_another_application_wrote_there(
    url: str, log: PostgresLog, recorded_at: str, recorded_ms: float
) -> None:
    with connected(url) as connection:
        execute(connection, INSERT_AT, (recorded_at,))
    tailed = await follow(log, ORIGIN, lambda record: True)
    for records in (tailed, await log.read(ORIGIN, 9), await log.latest(9)):
        assert [record.recorded_ms for record in records] == [recorded_ms]
    assert (await log.bounds()).head == tailed[0].position


async def test_age_is_counted_from_when_the_log_got_an_event(url: str) -> None:
    async with opened(url, max_age_seconds=3600.0) as log:
        await log.append([an_event("order:0"), an_event("order:1")])
        await log.append([an_event("order:2", timestamp="2001-01-01T00:00:00.000Z")])
        with connected(url) as connection:
            execute(connection, AGE, (["0", "1"],))
        assert await log.prune() == 2
        assert ids(await log.latest(10)) == ["2"]


async def test_age_lets_go_of_a_prefix_only(url: str) -> None:
    async with opened(url, max_age_seconds=3600.0) as log:
        await append(log, 3)
        with connected(url) as connection:
            execute(connection, AGE, (["0", "2"],))
        assert await log.prune() == 1
        assert ids(await log.latest(10)) == ["1", "2"]


async def test_retention_leaves_what_nobody_could_read_yet(url: str) -> None:
    async with opened(url, max_events=1) as log:
        with connected(url) as connection:
            await append(log, 3)
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            await append(log, 3, first=3)
            assert await log.prune() == 2
            execute(connection, INSERT, ('{"late": true}',))
            execute(connection, "commit")
        bounds = await log.bounds()
        assert len(await log.read(bounds.floor, 10)) == 5


async def test_one_node_at_a_time_prunes(url: str) -> None:
    async with opened(url, max_events=1) as log:
        await append(log, 3)
        with connected(url) as connection:
            execute(connection, LOCK)
            assert await log.prune() == 0
        await eventually_unlocked(url)
        assert await log.prune() == 2


async def eventually_unlocked(url: str) -> None:
    with connected(url) as connection:
        await eventually(
            lambda: (
                execute(connection, "select count(*) from pg_locks l where l.locktype = 'advisory'") == [(0,)]
            ),
            "the lock is gone with its session",
        )


async def test_retention_runs_by_itself(url: str) -> None:
    async with opened(url, max_events=1, timing=Timing(retention=0.01)) as log:
        await append(log, 3)
        await eventually(lambda: log.health().pruned_events == 2, "the rest is let go")


async def test_retention_that_fails_is_counted_and_goes_on(url: str) -> None:
    async with opened(url, max_events=1, timing=Timing(retention=0.01)) as log:
        with connected(url) as connection:
            execute(connection, "alter table sync_events_bounds rename to away")
            await eventually(lambda: log.health().retention_failures > 1, "it fails")
            execute(connection, "alter table away rename to sync_events_bounds")
        await append(log, 3)
        await eventually(lambda: log.health().pruned_events == 2, "it goes on")


async def test_a_database_out_of_reach_shows_in_the_health(own_database: str) -> None:
    async with opened(own_database, timing=Timing(watch=0.01, retention=SELDOM)) as log:
        await eventually(lambda: log.health().is_reachable, "it is in reach")
        with connected(server_url()) as connection:
            execute(connection, f"drop database {database_of(own_database)} with (force)")
        await eventually(lambda: not log.health().is_reachable, "it is out of reach")


async def test_a_log_in_reach_shows_in_the_health(log: PostgresLog) -> None:
    await eventually(lambda: log.health().is_reachable, "it is in reach")
    assert log.health().blocking_seconds == 0
    assert log.health().held_seconds == 0


async def test_pruning_forgets_idempotency_keys_after_their_time(log: PostgresLog, url: str) -> None:
    old = await log.append_once([an_event("order:1")], "old", b"1")
    new = await log.append_once([an_event("order:2")], "new", b"2")
    with connected(url) as connection:
        aged = "update sync_events_keys set at = at - %s * interval '1 second' where key = 'old'"
        execute(connection, aged, (ONCE_SECONDS,))

        await log.prune()

        assert execute(connection, "select key from sync_events_keys") == [("new",)]
    assert await log.append_once([an_event("order:2")], "new", b"2") == new._replace(replayed=True)
    again = await log.append_once([an_event("order:1")], "old", b"1")
    assert not again.replayed
    assert again.positions > old.positions
