"""What is written together, in which order, and what each caller hears of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.errors import LogError
from gateway.runtime.batcher import Batcher
from tests.support.loop import let_others_run

NO_TIME = 0.0
LONG = 60.0


class Disk:
    """Where a batcher writes to; `go` lets so many writes end. It refuses whatever holds "bad"."""

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.error: Exception | None = None
        self._turns = asyncio.Semaphore(0)

    async def write(self, items: Sequence[str]) -> list[str]:
        number = len(self.batches) + 1
        self.batches.append(" ".join(items))
        await self._turns.acquire()
        if self.error is not None:
            raise self.error
        if "bad" in items:
            refusal = LogError("refused")
            refusal.is_refusal = True
            raise refusal from ZeroDivisionError()
        return [f"{item} in {number}" for item in items]

    async def go(self, writes: int = 1) -> None:
        for _ in range(writes):
            self._turns.release()
            await let_others_run()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@asynccontextmanager
async def batching(disk: Disk, *, runs: int = 1, **options: Any) -> AsyncIterator[Batcher[str, str]]:
    """A batcher that runs so many times."""
    batcher: Batcher[str, str] = Batcher(disk.write, **options)
    running = [asyncio.create_task(batcher.run()) for _ in range(runs)]
    yield batcher
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


Appends = list[asyncio.Task[str]]


async def start(batcher: Batcher[str, str], *items: str, events: int = 1, size: int = 1) -> Appends:
    appends = [asyncio.create_task(batcher.append(item, events, size)) for item in items]
    await let_others_run()
    return appends


async def test_what_comes_during_a_write_shares_the_next_one_in_order(disk: Disk) -> None:
    async with batching(disk) as batcher:
        appends = [(await start(batcher, item))[0] for item in ("a", "b", "c")]
        await disk.go(2)

        assert disk.batches == ["a", "b c"]
        assert await asyncio.gather(*appends) == ["a in 1", "b in 2", "c in 2"]


async def test_each_run_has_a_batch_under_way(disk: Disk) -> None:
    async with batching(disk, runs=2) as batcher:
        first, second, third = [(await start(batcher, item))[0] for item in ("a", "b", "c")]
        assert disk.batches == ["a", "b"]
        await disk.go(3)
        assert await asyncio.gather(first, second, third) == ["a in 1", "b in 2", "c in 3"]


@pytest.mark.parametrize(
    ("events", "size", "batches"),
    [
        (1, 1, ["a", "b c d"]),
        (2, 1, ["a", "b", "c", "d"]),
        (1, 5, ["a", "b c", "d"]),
        (4, 1, ["a", "b", "c", "d"]),
        (1, 11, ["a", "b", "c", "d"]),
    ],
)
async def test_a_batch_has_its_bounds_and_one_item_at_least(
    disk: Disk, events: int, size: int, batches: list[str]
) -> None:
    async with batching(disk, max_events=3, max_bytes=10) as batcher:
        appends = await start(batcher, "a")
        appends += await start(batcher, "b", "c", "d", events=events, size=size)
        await disk.go(4)
        await asyncio.gather(*appends)
    assert disk.batches == batches


async def test_what_is_over_a_bound_is_taken_by_another_run_at_once(disk: Disk) -> None:
    async with batching(disk, runs=3, max_events=2) as batcher:
        appends = await start(batcher, "a", "b", "c", "d", "e")
        assert disk.batches == ["a b", "c d", "e"]
        await disk.go(3)
        await asyncio.gather(*appends)


async def test_a_failed_write_fails_its_own_items_and_no_others(disk: Disk) -> None:
    disk.error = LogError("out of reach")
    async with batching(disk, splits_refused=True) as batcher:
        failed = await start(batcher, "a", "b")
        await disk.go()
        disk.error = None
        (later,) = await start(batcher, "c")
        await disk.go()

        for append in failed:
            with pytest.raises(LogError, match="out of reach"):
                await append
        assert await later == "c in 2"
    assert disk.batches == ["a b", "c"]


async def test_what_is_refused_of_one_item_is_not_the_others_loss(disk: Disk) -> None:
    async with batching(disk, splits_refused=True) as batcher:
        first, bad, last = await start(batcher, "a", "bad", "c")
        await disk.go(4)

        assert disk.batches == ["a bad c", "a", "bad", "c"]
        assert (await first, await last) == ("a in 2", "c in 4")
        with pytest.raises(LogError, match="refused"):
            await bad


async def test_a_refusal_fails_all_where_nothing_is_split(disk: Disk) -> None:
    async with batching(disk) as batcher:
        appends = await start(batcher, "a", "bad")
        await disk.go()
        errors = await asyncio.gather(*appends, return_exceptions=True)

    assert disk.batches == ["a bad"]
    assert [(type(error), str(error), type(error.__cause__)) for error in errors] == [  # type: ignore[union-attr]
        (LogError, "refused", ZeroDivisionError)
    ] * 2
    # One object that is raised in two places has the tracebacks of both.
    assert errors[0] is not errors[1]


async def test_what_is_cancelled_before_its_turn_is_not_written(disk: Disk) -> None:
    async with batching(disk) as batcher:
        await start(batcher, "a")
        second, third = await start(batcher, "b", "c")
        second.cancel()
        await disk.go(2)
        assert disk.batches == ["a", "c"]
        assert await third == "c in 2"


async def test_what_is_cancelled_while_it_is_written_takes_nothing_from_the_others(disk: Disk) -> None:
    async with batching(disk) as batcher:
        first, second = await start(batcher, "a", "b")
        first.cancel()
        await disk.go()
        assert await second == "b in 1"


async def test_an_unforeseen_failure_leaves_nobody_waiting_and_the_next_run_goes_on(disk: Disk) -> None:
    batcher: Batcher[str, str] = Batcher(disk.write)
    running = asyncio.create_task(batcher.run())
    disk.error = ZeroDivisionError()
    (failed,) = await start(batcher, "a")
    (waiting,) = await start(batcher, "b")
    await disk.go()
    with pytest.raises(LogError, match="not known"):
        await failed
    with pytest.raises(ZeroDivisionError):
        await running

    disk.error = None
    again = asyncio.create_task(batcher.run())
    await disk.go()
    assert await waiting == "b in 2"
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_run_that_is_cancelled_says_that_nobody_knows(disk: Disk) -> None:
    async with batching(disk) as batcher:
        (append,) = await start(batcher, "a")
    with pytest.raises(LogError, match="not known"):
        await append


async def test_closing_refuses_what_comes_and_lets_what_has_come_be_written(disk: Disk) -> None:
    async with batching(disk) as batcher:
        first, second = [(await start(batcher, item))[0] for item in ("a", "b")]
        closing = asyncio.create_task(batcher.close(LONG))
        await let_others_run()
        with pytest.raises(LogError, match="closed"):
            await batcher.append("c", 1, 1)
        await disk.go()
        assert not closing.done()
        await disk.go()
        await closing
        assert (await first, await second) == ("a in 1", "b in 2")


async def test_closing_waits_for_no_write_that_never_ends(disk: Disk) -> None:
    async with batching(disk) as batcher:
        first, second = [(await start(batcher, item))[0] for item in ("a", "b")]
        await batcher.close(NO_TIME)
        with pytest.raises(LogError, match="closed"):
            await second
        assert not first.done()
        await disk.go()
        assert await first == "a in 1"


async def test_closing_does_not_wait_for_items_that_were_given_up(disk: Disk) -> None:
    async with batching(disk) as batcher:
        (first,) = await start(batcher, "a")
        (second,) = await start(batcher, "b")
        closing = asyncio.create_task(batcher.close(LONG))
        second.cancel()
        await disk.go()
        assert closing.done()
        assert await first == "a in 1"
    assert disk.batches == ["a"]


async def test_closing_twice_or_before_a_run_does_nothing(disk: Disk) -> None:
    batcher: Batcher[str, str] = Batcher(disk.write)
    for _ in range(2):
        await batcher.close(LONG)
    with pytest.raises(LogError, match="closed"):
        await batcher.append("a", 1, 1)
