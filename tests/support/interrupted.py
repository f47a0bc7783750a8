"""Work that is cancelled while it waits, at a wait that a test chooses."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


class Interrupted:
    """Awaited, it does `work`, and cancels the task that awaits it at its `at`th wait, unless `is_over`."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int, is_over: Callable[[], bool]) -> None:
        self._work = work
        self._at = at
        self._is_over = is_over

    def __await__(self) -> Generator[Any, None, None]:
        task = asyncio.current_task()
        assert task is not None
        resume = partial(self._work.send, None)
        waits = 0
        while True:
            try:
                waited = resume()
            except StopIteration:
                return
            waits += 1
            if waits == self._at and not self._is_over():
                task.cancel()
            try:
                yield waited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the work
                resume = partial(self._work.throw, error)
            else:
                resume = partial(self._work.send, None)
