"""Callers' choices are kept for a while, and on one day only so many: in a file as in what nodes share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from flags.errors import StoreFull
from flags.store.choice_days import DAY_SECONDS, KEPT_DAYS, MOST_A_DAY, day_of, full
from flags.store.preferences import FilePreferences, Preferences
from flags.store.shared_preferences import CACHE_SECONDS, SharedPreferences
from gateway.service.wiring.shared_values import FlagValues
from tests.support.clock import ManualClock
from tests.support.flags import NEVER_SECONDS, Told
from tests.support.shared_store import MemorySharedStore

A_DAY = 3

OpenNode = Callable[[], Awaitable[Preferences]]


@pytest.fixture
def told() -> Told:
    """What all nodes tell."""
    return Told()


@pytest.fixture(params=["a file", "a server"])
async def open_node(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, told: Told
) -> AsyncIterator[OpenNode]:
    """Opens preferences that take three choices a day, of one file or server."""
    values = FlagValues(MemorySharedStore(clock))
    async with AsyncExitStack() as stack:

        async def opened() -> Preferences:
            node: Preferences
            if request.param == "a file":
                node = FilePreferences(
                    tmp_path / "kept.db",
                    tell=told,
                    now_ms=clock.wall_ms,
                    poll_seconds=NEVER_SECONDS,
                    most_a_day=A_DAY,
                )
            else:
                node = SharedPreferences(
                    values, tell=told, timer=clock.monotonic, now_ms=clock.wall_ms, most_a_day=A_DAY
                )
            await node.start()
            stack.push_async_callback(node.close)
            return node

        yield opened


async def look(node: Preferences, clock: ManualClock) -> None:
    """Lets the node see what others kept, and what is too old."""
    clock.advance(CACHE_SECONDS)
    if isinstance(node, FilePreferences):
        await node.refresh()


async def fill(node: Preferences, prefix: str) -> None:
    """Makes up clients that choose, until no more are taken."""
    for number in range(A_DAY + 1):
        try:
            await node.put(f"{prefix}{number}", "polling")
        except StoreFull:
            return
    raise AssertionError("all were taken")


async def test_on_one_day_only_so_many_are_taken_and_the_next_day_more(
    open_node: OpenNode, clock: ManualClock, told: Told
) -> None:
    one, other = await open_node(), await open_node()
    await fill(one, "a")

    for node in (one, other):
        for _ in range(3):
            with pytest.raises(StoreFull):
                await node.put("real", "polling")
            assert await node.get("real") == "auto"
    assert told.events == ["preferences_full"] * 2

    clock.advance(DAY_SECONDS)
    await other.put("real", "polling")
    assert await other.get("real") == "polling"


async def test_whoever_has_chosen_keeps_its_choice_and_may_change_it(
    open_node: OpenNode, clock: ManualClock
) -> None:
    node = await open_node()
    await node.put("real", "streaming")
    for day in range(3):
        clock.advance(DAY_SECONDS)
        await fill(node, f"made-up-{day}-")

    await node.put("real", "polling")

    assert await (await open_node()).get("real") == "polling"


async def test_a_choice_is_let_go_of_when_it_is_old(open_node: OpenNode, clock: ManualClock) -> None:
    node = await open_node()
    await node.put("ann", "polling")
    clock.advance(DAY_SECONDS)
    await node.put("bob", "polling")

    clock.advance((KEPT_DAYS - 1) * DAY_SECONDS)
    await look(node, clock)

    assert (await node.get("ann"), await node.get("bob")) == ("auto", "polling")
    assert await (await open_node()).get("ann") == "auto"


async def test_a_choice_that_is_made_again_is_kept_for_as_long_again(
    open_node: OpenNode, clock: ManualClock
) -> None:
    node = await open_node()
    await node.put("ann", "polling")
    clock.advance(DAY_SECONDS)
    await node.put("ann", "polling")
    clock.advance((KEPT_DAYS - 1) * DAY_SECONDS)
    await look(node, clock)

    assert await node.get("ann") == "polling"


async def test_a_choice_that_is_changed_on_a_full_day_ends_when_the_old_one_would_have(
    open_node: OpenNode, clock: ManualClock
) -> None:
    node = await open_node()
    await node.put("ann", "streaming")
    clock.advance(DAY_SECONDS)
    await fill(node, "made-up-")
    await node.put("ann", "polling")
    assert await node.get("ann") == "polling"

    clock.advance((KEPT_DAYS - 1) * DAY_SECONDS)
    await look(node, clock)

    assert await node.get("ann") == "auto"


async def test_auto_of_a_caller_that_never_chose_takes_no_room(open_node: OpenNode) -> None:
    node = await open_node()
    for number in range(2 * A_DAY):
        await node.put(f"c{number}", "auto")

    await node.put("ann", "polling")
    await node.put("ann", "auto")
    assert await (await open_node()).get("ann") == "auto"


async def test_a_change_on_the_day_of_the_choice_is_not_counted_again(open_node: OpenNode) -> None:
    node = await open_node()
    for delivery in ("polling", "streaming", "auto", "polling", "streaming"):
        await node.put("ann", delivery)
    await node.put("bob", "polling")
    await node.put("cid", "polling")

    with pytest.raises(StoreFull):
        await node.put("dan", "polling")


def test_whoever_is_refused_is_told_how_long_that_lasts(clock: ManualClock) -> None:
    evening_ms = (day_of(clock.wall_ms()) + 1) * DAY_SECONDS * 1000 - 1500
    refusal = full(evening_ms)

    assert refusal.retry_after_seconds == 2
    assert "before 2024-11-21T00:00:00.000Z" in refusal.detail


def test_there_are_never_more_than_a_disk_takes() -> None:
    assert KEPT_DAYS * MOST_A_DAY <= 1_000_000
