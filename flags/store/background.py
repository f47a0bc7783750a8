"""What a store does beside the event loop: a thread that may wait, and a look at regular times."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flags.errors import StoreUnwritable
from flags.log_lines import Tell

Result = TypeVar("Result")


class BackgroundThread:
    """Does one job after the other, in the order in which they were given."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None

    def start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)

    def run(self, job: Callable[[], Result]) -> Awaitable[Result]:
        """What `job` gives, or raises. A job that has begun is done also when nobody waits any more.

        Raises StoreUnwritable where the thread is not running.
        """
        if self._thread is None:
            raise StoreUnwritable("The store is closed.")
        return asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def close(self) -> None:
        """Ends the thread after the jobs it was given. Closing twice does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)


class Watch:
    """Calls `look` every `seconds`, whether or not the last one failed, which is an outage of that `name`.

    At the end a look that goes on is cancelled, and once more whenever it went on for `again_seconds` after
    that: drivers lose a cancellation now and then.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        seconds: float,
        tell: Tell,
        name: str,
        again_seconds: float = 1.0,
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._name = name
        self._again_seconds = again_seconds
        self._outage = tell.outage(name)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Looks no more. Closing twice does nothing."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=self._again_seconds)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it was, later changes have to be seen
                self._outage.failed(error=error)
            else:
                self._outage.over()
