"""How a command that runs until it is told to stop is told, and how what it has begun ends."""

import asyncio
import atexit
import contextlib
import logging
import signal
import traceback
from collections.abc import Awaitable, Callable

from gateway.logs import log_event

_log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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


class Closing:
    """What is to be closed at the end, the newest first. One that fails is logged; the others are closed."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()

    def add(self, part: str, close: Callable[[], Awaitable[None]]) -> None:
        """`close` is called at the end. To be said before `part` is started: it may fail half-way."""
        self._stack.push_async_callback(self._close, part, close)

    async def close(self) -> None:
        """Closes all of it. Closing twice does nothing."""
        await self._stack.aclose()

    async def _close(self, part: str, close: Callable[[], Awaitable[None]]) -> None:
        try:
            await close()
        except Exception as error:  # noqa: BLE001 - whatever it was, what is beneath has to be closed
            log_event(
                _log,
                logging.ERROR,
                "close_failed",
                part=part,
                exception="".join(traceback.format_exception(error)),
            )
