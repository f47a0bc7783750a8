"""Idempotency keys in memory: each is known for its time, whatever else comes."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from gateway.core.errors import IdempotencyConflict, LogError, NoRoomForKey
from gateway.core.events import Position
from gateway.ports.log import ONCE_SECONDS, Appended
from gateway.runtime.idempotency import IdempotencyKeys
from tests.support.clock import ManualClock
from tests.support.loop import let_others_run


class Appends:
    """What the log was asked to append; each call waits until it `may_end`."""

    def __init__(self, *positions: Position) -> None:
        self.positions = list(positions) or [Position(7, 0)]
        self.calls = 0
        self.failure: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> Appended:
        self.calls += 1
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return Appended("e", self.positions)


@pytest.fixture
def keys(clock: ManualClock) -> IdempotencyKeys:
    return IdempotencyKeys(clock)


async def fill(keys: IdempotencyKeys, count: int, append: Appends) -> None:
    for number in range(count):
        await keys.append(f"other {number}", b"d" * 32, append)


@pytest.mark.parametrize(
    "positions",
    [
        [],
        [Position(7, 0)],
        [Position(7, 3), Position(7, 4), Position(7, 5)],
        [Position(7, 3), Position(7, 5), Position(8, 5), Position(8, 6), Position(9, 0)],
        [Position(1, 2**64 - 1), Position(2, 0)],
    ],
)
async def test_the_first_answer_is_given_again_as_it_was(
    keys: IdempotencyKeys, positions: Sequence[Position]
) -> None:
    append = Appends()
    append.positions = list(positions)
    first = await keys.append("a", b"one", append)
    again = await keys.append("a", b"one", append)
    assert first == Appended("e", list(positions))
    assert again == Appended("e", list(positions), replayed=True)
    assert append.calls == 1


async def test_no_number_of_other_keys_pushes_one_out(keys: IdempotencyKeys) -> None:
    append = Appends()
    await keys.append("a", b"one", append)
    await fill(keys, 20_000, append)
    assert (await keys.append("a", b"one", append)).replayed


async def test_a_key_is_known_for_its_time_and_then_it_is_new(
    keys: IdempotencyKeys, clock: ManualClock
) -> None:
    append = Appends()
    await keys.append("a", b"one", append)
    clock.set_wall_ms(clock.wall_ms() + 10**9)
    clock.advance(ONCE_SECONDS - 0.001)
    assert (await keys.append("a", b"one", append)).replayed
    clock.advance(0.001)
    assert not (await keys.append("a", b"another", append)).replayed
    clock.advance(ONCE_SECONDS - 0.001)
    assert (await keys.append("a", b"another", append)).replayed


async def test_where_there_is_no_room_a_new_key_is_refused_and_none_is_forgotten(clock: ManualClock) -> None:
    keys, append = IdempotencyKeys(clock, max_bytes=100_000), Appends()
    with pytest.raises(NoRoomForKey) as refused:
        await fill(keys, 10_000, append)
    kept = append.calls
    assert kept == len(keys)
    assert 100 < kept < 250
    assert refused.value.headers["Retry-After"] == "600"
    for number in range(kept):
        assert (await keys.append(f"other {number}", b"d" * 32, append)).replayed
    clock.advance(ONCE_SECONDS)
    await fill(keys, kept, append)
    assert keys.size_bytes <= 100_000


async def test_the_room_takes_long_keys_and_many_runs_into_account(clock: ManualClock) -> None:
    keys = IdempotencyKeys(clock)
    await keys.append("a", b"d", Appends())
    short = keys.size_bytes
    await keys.append("a" * 256, b"d", Appends(*(Position(number, 0) for number in range(100))))
    assert keys.size_bytes - short > short + 255 + 99 * 100


async def test_what_was_kept_takes_no_room_afterwards(keys: IdempotencyKeys, clock: ManualClock) -> None:
    append = Appends()
    await fill(keys, 1000, append)
    clock.advance(ONCE_SECONDS)
    for _ in range(20):
        await keys.append("a", b"one", append)
    assert len(keys) == 1
    assert keys.size_bytes < 1000


async def test_a_key_whose_append_is_under_way_is_never_forgotten(clock: ManualClock) -> None:
    keys, append = IdempotencyKeys(clock, max_bytes=100_000), Appends()
    append.may_end.clear()
    first = asyncio.create_task(keys.append("a", b"one", append))
    await let_others_run()
    with pytest.raises(NoRoomForKey):
        await fill(keys, 1000, Appends())
    clock.advance(ONCE_SECONDS * 2)
    second = asyncio.create_task(keys.append("a", b"one", append))
    with pytest.raises(IdempotencyConflict):
        await keys.append("a", b"another", append)
    await let_others_run()
    append.may_end.set()
    assert [(await first).replayed, (await second).replayed] == [False, True]
    assert append.calls == 1


async def test_a_failed_append_leaves_no_key_behind_and_takes_no_room(keys: IdempotencyKeys) -> None:
    append = Appends()
    append.failure = LogError("lost")
    for _ in range(2):
        with pytest.raises(LogError):
            await keys.append("a", b"one", append)
    assert (append.calls, len(keys), keys.size_bytes) == (2, 0, 0)
    append.failure = None
    assert not (await keys.append("a", b"another", append)).replayed


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_caller_that_goes_away_takes_the_answer_from_nobody(keys: IdempotencyKeys, gone: int) -> None:
    append = Appends()
    append.may_end.clear()
    callers = [asyncio.create_task(keys.append("a", b"one", append)) for _ in range(2)]
    await let_others_run()
    callers[gone].cancel()
    await let_others_run()
    append.may_end.set()
    assert (await callers[1 - gone]).positions == append.positions
    assert callers[gone].cancelled()
    assert (await keys.append("a", b"one", append)).replayed
    assert append.calls == 1


async def test_a_failure_after_the_caller_went_away_is_no_loose_end(keys: IdempotencyKeys) -> None:
    loose: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: loose.append(context))
    append = Appends()
    append.failure = LogError("lost")
    append.may_end.clear()
    caller = asyncio.create_task(keys.append("a", b"one", append))
    await let_others_run()
    caller.cancel()
    await let_others_run()
    append.may_end.set()
    await let_others_run()
    # Its traceback would keep the work alive.
    del caller
    gc.collect()
    assert loose == []
    assert len(keys) == 0
