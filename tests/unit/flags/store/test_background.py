"""What a store does beside the event loop."""

import asyncio

from flags.store.background import Watch
from tests.support.flags import Told
from tests.support.http import DEADLINE_SECONDS
from tests.support.loop import until


async def test_a_look_that_lost_its_cancellation_is_cancelled_again() -> None:
    looks = lost = 0

    async def look() -> None:
        nonlocal looks, lost
        looks += 1
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    watch = Watch(look, 0.0, Told(), "flags_watch", again_seconds=0.0)
    watch.start()
    await until(lambda: looks == 1, "it looks")
    async with asyncio.timeout(DEADLINE_SECONDS):
        await watch.close()
        await watch.close()

    assert (looks, lost) == (1, 3)
