"""How a command that runs until it is told to stop is told, and how what it has begun ends."""

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PART_SECONDS = 5.0
"""How long one part may take to close."""
STOP_SECONDS = 10.0
"""How long a process may take to end, beside the time that it drains."""
CUT_OFF = 1
"""The exit code of a process that did not end in time."""
_TELL_SECONDS = 1.0


def stop_on_signals(stop: asyncio.Event | None = None) -> asyncio.Event:
    """`stop`, or a new event, which SIGTERM, SIGINT and SIGHUP set from now on; in the main thread alone.

    Until the process is gone none of them ends it in any other way: a supervisor that says it twice gets the
    same exit code. A SIGHUP that is ignored, as nohup has it, stays ignored.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: int, frame: object) -> None:
        # A loop that is closed was told before.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    # Not the loop's own handlers: a loop that closes gives the signals back to the system, which kills.
    for number in STOP_SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, told)
    # An interpreter that ends gives back what has a handler, and leaves alone what is ignored.
    atexit.register(_ignore)
    return stop


def _ignore() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def exit_within(seconds: float) -> None:
    """Has this process gone so many seconds from now, whatever still goes on in it: then with CUT_OFF.

    For one that does nothing any more but end. A task that never ends, a thread that hangs, or an interpreter
    that waits for one (executors' threads are no daemons) would keep it for ever. `stop_cut_off` says in the
    log what was left.
    """
    loop = asyncio.get_running_loop()

    def cut_off() -> None:
        time.sleep(seconds)
        # Also what hangs may hold the log's lock, as where nobody reads standard error.
        telling = threading.Thread(target=_tell_what_is_left, args=(loop, own), daemon=True)
        telling.start()
        telling.join(_TELL_SECONDS)
        os._exit(CUT_OFF)

    own = threading.Thread(target=cut_off, name="exit", daemon=True)
    own.start()


def _tell_what_is_left(loop: asyncio.AbstractEventLoop, own: threading.Thread) -> None:
    tasks = [f"{task.get_name()}: {_waits_in(task)}" for task in asyncio.all_tasks(loop)]
    frames = sys._current_frames()
    threads = [
        f"{thread.name}: {''.join(traceback.format_stack(frames[thread.ident])[-1:]).strip()}"
        for thread in threading.enumerate()
        if thread not in (own, threading.current_thread()) and thread.ident in frames
    ]
    log_event(
        _log,
        logging.ERROR,
        "stop_cut_off",
        tasks="; ".join(sorted(tasks)),
        threads="; ".join(sorted(threads)),
    )


def _waits_in(task: asyncio.Task[Any]) -> str:
    """The coroutines that the task waits in, from the outermost on."""
    names = []
    waiting: Any = task.get_coro()
    while waiting is not None and hasattr(waiting, "__qualname__"):
        names.append(waiting.__qualname__)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return " > ".join(names)


class Closing(contextlib.AsyncExitStack):
    """What is to be closed at the end, the newest first.

    One that fails, or has not ended after `part_seconds`, is logged (`close_failed`) and left behind; the
    others are closed.
    """

    def __init__(self, part_seconds: float = PART_SECONDS) -> None:
        super().__init__()
        self._part_seconds = part_seconds

    def add(self, part: str, close: Callable[[], Awaitable[None]]) -> None:
        """`close` is called at the end. To be said before `part` is started: it may fail half-way."""
        self.push_async_callback(self._close_part, part, close)

    async def _close_part(self, part: str, close: Callable[[], Awaitable[None]]) -> None:
        # A task of its own: one that does not heed its cancellation must hold up nobody.
        task = asyncio.ensure_future(close())
        try:
            await asyncio.wait({task}, timeout=self._part_seconds)
            failure = _failure(task, self._part_seconds)
        finally:
            task.cancel()
        if failure is not None:
            log_event(_log, logging.ERROR, "close_failed", part=part, **failure)


def _failure(task: "asyncio.Future[None]", seconds: float) -> dict[str, str] | None:
    """What the log says of a part whose close is `task`; None where it is closed."""
    if not task.done():
        where = _waits_in(task) if isinstance(task, asyncio.Task) else ""
        return {"detail": f"It did not end within {seconds:g} s.", "waits_in": where}
    if task.cancelled():
        return {"detail": "It was cancelled."}
    error = task.exception()
    return None if error is None else {"exception": "".join(traceback.format_exception(error))}
