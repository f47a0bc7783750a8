"""Tasks for which nobody waits any more: none may fail with asyncio alone to tell of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


async def to_its_end(work: Coroutine[Any, Any, Value], *, unheard: Callable[[BaseException], None]) -> Value:
    """What `work` gives, which is not cancelled with its caller.

    Where the caller was cancelled and the work fails afterwards, `unheard` is called with the error.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: _tell(done, unheard))
        raise


async def end_all(*tasks: "asyncio.Future[Any]", again_seconds: float = 1.0) -> None:
    """Cancels them, again after `again_seconds` where one loses that (supervisor.py); returns once all ended.

    What they raised is of no interest any more: whoever needs it has asked before.
    """
    going_on = set(tasks)
    try:
        while going_on:
            for task in going_on:
                task.cancel()
            _, going_on = await asyncio.wait(going_on, timeout=again_seconds)
    finally:
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()


def _tell(done: "asyncio.Task[Any]", unheard: Callable[[BaseException], None]) -> None:
    # Asking for the exception also tells asyncio that somebody knows of it.
    error = None if done.cancelled() else done.exception()
    if error is not None:
        unheard(error)
