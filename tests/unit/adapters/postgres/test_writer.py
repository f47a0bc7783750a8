"""Which appends share a transaction, and what each of them gets."""

import asyncio
from collections.abc import AsyncIterator

import psycopg2.errors
import pytest

from adapters.postgres.rows import Columns, columns
from adapters.postgres.writer import MAX_GROUP_BYTES, MAX_GROUP_EVENTS, Placed, Writer
from gateway.core.errors import LogError
from gateway.core.events import Position
from tests.support.events import an_event
from tests.support.loop import let_others_run

REFUSED = "bad"
EPOCH = "e"
NO_WAIT = 0.0


class _RefusedError(psycopg2.errors.CheckViolation):
    """As the driver raises it where a server said no: with a code, which only a server's answer has."""

    pgcode = "23514"


class Server:
    """Where the writer sends to; `go` lets one call through. It refuses whatever has the entity REFUSED."""

    def __init__(self) -> None:
        self.calls: list[list[str | None]] = []
        self.error: Exception | None = None
        self._turns = asyncio.Semaphore(0)

    async def send(self, rows: Columns) -> Placed:
        names = list(rows["entity_id"])
        self.calls.append(names)
        await self._turns.acquire()
        if self.error is not None:
            raise self.error
        if REFUSED in names:
            raise LogError("refused") from _RefusedError()
        return EPOCH, [Position(100 + len(self.calls), number) for number in range(len(names))]

    async def go(self) -> None:
        self._turns.release()
        await let_others_run()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def writer(server: Server) -> AsyncIterator[Writer]:
    writer = Writer(server.send)
    running = asyncio.create_task(writer.run())
    yield writer
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def append(writer: Writer, *names: str, size: int = 1) -> asyncio.Task[Placed]:
    events = [an_event(f"order:{name}", data={"text": "x" * size}) for name in names]
    return asyncio.create_task(writer.append(columns(events), len(events)))


async def start(writer: Writer, *names: str) -> list[asyncio.Task[Placed]]:
    tasks = [append(writer, name) for name in names]
    await let_others_run()
    return tasks


async def test_what_waits_for_a_transaction_shares_the_next_one_in_order(
    server: Server, writer: Writer
) -> None:
    (first,) = await start(writer, "a")
    second = append(writer, "b", "c")
    (third,) = await start(writer, "d")
    await server.go()
    await server.go()

    assert server.calls == [["a"], ["b", "c", "d"]]
    assert await first == (EPOCH, [Position(101, 0)])
    assert await second == (EPOCH, [Position(102, 0), Position(102, 1)])
    assert await third == (EPOCH, [Position(102, 2)])


async def test_two_runs_have_two_transactions_under_way(server: Server, writer: Writer) -> None:
    running = asyncio.create_task(writer.run())
    (first,) = await start(writer, "a")
    (second,) = await start(writer, "b")
    assert server.calls == [["a"], ["b"]]
    await server.go()
    await server.go()
    await asyncio.gather(first, second)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_the_server_refuses_of_one_is_not_the_others_loss(server: Server, writer: Writer) -> None:
    good, bad, also_good = await start(writer, "a", REFUSED, "c")
    for _ in range(4):
        await server.go()

    assert server.calls == [["a", REFUSED, "c"], ["a"], [REFUSED], ["c"]]
    with pytest.raises(LogError, match="refused"):
        await bad
    assert await good == (EPOCH, [Position(102, 0)])
    assert await also_good == (EPOCH, [Position(104, 0)])


async def test_a_lost_connection_fails_all_that_were_sent_and_is_not_tried_again(
    server: Server, writer: Writer
) -> None:
    server.error = LogError("out of reach")
    for failed in await start(writer, "a", "b"):
        await server.go()
        with pytest.raises(LogError, match="out of reach"):
            await failed
    assert server.calls == [["a", "b"]]


async def test_an_append_that_was_cancelled_before_its_turn_is_not_sent(
    server: Server, writer: Writer
) -> None:
    await start(writer, "a")
    second, third = await start(writer, "b", "c")
    second.cancel()
    await server.go()
    await server.go()

    assert server.calls[1] == ["c"]
    assert await third == (EPOCH, [Position(102, 0)])


@pytest.mark.parametrize(("size", "count"), [(1, MAX_GROUP_EVENTS), (MAX_GROUP_BYTES, 1)])
async def test_a_group_has_its_bounds_and_one_append_at_least(
    server: Server, writer: Writer, size: int, count: int
) -> None:
    await start(writer, "a")
    appends = [append(writer, str(number), size=size) for number in range(count)]
    appends += await start(writer, "last")
    for _ in range(3):
        await server.go()
    await asyncio.gather(*appends)
    assert [len(names) for names in server.calls] == [1, count, 1]


async def test_closing_refuses_what_waits_and_lets_what_is_sent_end(server: Server, writer: Writer) -> None:
    sent, waiting = [(await start(writer, name))[0] for name in ("a", "b")]
    closing = asyncio.create_task(writer.close(60.0))
    with pytest.raises(LogError, match="closed"):
        await waiting
    await let_others_run()
    assert not closing.done()
    await server.go()
    await closing
    assert await sent == (EPOCH, [Position(101, 0)])
    with pytest.raises(LogError, match="closed"):
        await append(writer, "c")


async def test_closing_does_not_wait_for_a_server_that_never_answers(server: Server, writer: Writer) -> None:
    (sent,) = await start(writer, "a")
    await writer.close(NO_WAIT)
    assert not sent.done()
    sent.cancel()


async def test_an_unexpected_failure_leaves_nobody_waiting(server: Server) -> None:
    writer = Writer(server.send)
    running = asyncio.create_task(writer.run())
    server.error = ZeroDivisionError()
    (waiting,) = await start(writer, "a")
    await server.go()
    with pytest.raises(LogError):
        await waiting
    with pytest.raises(ZeroDivisionError):
        await running
