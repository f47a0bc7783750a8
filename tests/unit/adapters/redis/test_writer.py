"""Which appends go out together, and what each of them gets."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.redis.writer import MAX_GROUP_BYTES, MAX_GROUP_EVENTS, Writer
from gateway.core.errors import LogError
from gateway.core.events import Cursor, Position
from gateway.ports.log import Appended
from tests.support.loop import let_others_run


class Server:
    """Where the writer sends to; `go` lets one call through."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[bytes]]] = []
        self.error: Exception | None = None
        self._turns = asyncio.Semaphore(0)

    async def send(self, call: int, payloads: Sequence[bytes]) -> Cursor:
        self.calls.append((call, list(payloads)))
        await self._turns.acquire()
        if self.error is not None:
            raise self.error
        return Cursor(f"epoch{call}", Position(100 + call, 0))

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


def appended(call: int, *minors: int) -> Appended:
    """What `Server` says of the events that stand there in that call."""
    return Appended(f"epoch{call}", [Position(100 + call, minor) for minor in minors])


async def start(writer: Writer, *batches: list[bytes]) -> list[asyncio.Task[Appended]]:
    tasks = [asyncio.create_task(writer.append(batch)) for batch in batches]
    await let_others_run()
    return tasks


async def test_what_waits_for_a_call_goes_out_together_and_in_order(server: Server, writer: Writer) -> None:
    first, second, third = [(await start(writer, [text]))[0] for text in (b"a", b"b", b"c")]
    await server.go()
    await server.go()

    assert server.calls == [(1, [b"a"]), (2, [b"b", b"c"])]
    assert await asyncio.gather(first, second, third) == [appended(1, 0), appended(2, 0), appended(2, 1)]


async def test_a_failed_call_fails_its_own_appends_and_no_others(server: Server, writer: Writer) -> None:
    server.error = LogError("refused")
    first, second = await start(writer, [b"a"], [b"b"])
    await server.go()
    server.error = None
    (third,) = await start(writer, [b"c"])
    await server.go()

    for failed in (first, second):
        with pytest.raises(LogError, match="refused"):
            await failed
    assert await third == appended(2, 0)


async def test_an_append_that_was_cancelled_before_its_turn_is_not_sent(
    server: Server, writer: Writer
) -> None:
    await start(writer, [b"a"])
    second, third = await start(writer, [b"b"], [b"c"])
    second.cancel()
    await server.go()
    await server.go()

    assert server.calls[1] == (2, [b"c"])
    assert await third == appended(2, 0)


async def test_an_append_gets_the_epoch_of_the_call_that_took_it(server: Server, writer: Writer) -> None:
    first, second = [(await start(writer, batch))[0] for batch in ([b"a", b"b"], [b"c", b"d", b"e"])]
    await server.go()
    await server.go()
    assert await asyncio.gather(first, second) == [appended(1, 0, 1), appended(2, 0, 1, 2)]


@pytest.mark.parametrize(
    ("size", "count"), [(1, MAX_GROUP_EVENTS), (MAX_GROUP_BYTES, 1), (MAX_GROUP_BYTES + 1, 1)]
)
async def test_a_group_has_its_bounds_and_one_append_at_least(
    server: Server, writer: Writer, size: int, count: int
) -> None:
    await start(writer, [b"a"])
    await start(writer, [b"x" * size] * count, [b"b"])
    await server.go()
    await server.go()
    assert [len(payloads) for _, payloads in server.calls] == [1, count, 1]


async def test_closing_refuses_what_waits_and_what_comes(server: Server, writer: Writer) -> None:
    sent, waiting = [(await start(writer, [text]))[0] for text in (b"a", b"b")]
    writer.close()
    with pytest.raises(LogError, match="closed"):
        await waiting
    with pytest.raises(LogError, match="closed"):
        await writer.append([b"c"])
    await server.go()
    assert await sent == appended(1, 0)


async def test_an_unexpected_failure_leaves_nobody_waiting(server: Server) -> None:
    writer = Writer(server.send)
    running = asyncio.create_task(writer.run())
    server.error = ZeroDivisionError()
    (waiting,) = await start(writer, [b"a"])
    await server.go()
    with pytest.raises(LogError):
        await waiting
    with pytest.raises(ZeroDivisionError):
        await running
