"""What a process that serves asks of the system and of its interpreter."""

import asyncio
import ctypes
import gc
import logging
import resource
from collections import Counter
from functools import partial
from typing import Any

from gateway.runtime.logs import log_event, log_failure

_log = logging.getLogger(__name__)

LOOP = "event_loop"
"""What failures of no task in particular are counted as."""
_ABOUT = ("task", "future", "handle", "protocol", "transport")

_COLLECT_AFTER = 2_000
"""How many more containers are made than freed before the youngest are looked at for cycles.

Python's 700 are some hundred events, all of them kept. To look at each of them several times, and now and
then at the whole history, took a third of the CPU of a gateway that follows its log at full speed. Beyond
2,000 little more is to be had, and what requests leave behind takes memory for longer.
"""
_SECOND_LOOK_AFTER = 3
"""How many looks at the youngest before those that are left are looked at again, in one piece.

That is 3 ms of CPU; Python's 10 made 8 of it.
"""
_LOOK_AT_ALL_AFTER = 300
"""How many second looks before everything is looked at, the whole history: 27 ms of CPU for 10,000 events.

With 60,000 events, 3,000 polls and 4,500 streams that came and went, a look at everything found no cycle
that the second looks had left; Python's 10 has one after some 30,000 events.
"""

_M_MMAP_THRESHOLD = -3
_LONG_BUFFER_BYTES = 1_048_576


def raise_descriptor_limit() -> None:
    """Lets this process open as many connections as it may: each takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_long_buffers_back() -> None:
    """Has buffers of a megabyte and more go back to the system as soon as they are free, where glibc is.

    By itself it does so only until one of them was freed: it takes that one's size, up to 32 MiB, for usual
    then, and keeps twice as much. A polled list of 16 MB left four times its size behind for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LONG_BUFFER_BYTES)


def collect_garbage_rarely() -> None:
    """Makes collections rare, and leaves what there is now out of them. For a process that is set up.

    Nearly all that a gateway makes and drops is freed by its count of references; only cycles wait, and those
    that are found at all are found young.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, _SECOND_LOOK_AFTER, _LOOK_AT_ALL_AFTER)


def hear_of_loop_errors(failures: Counter[str]) -> None:
    """Has what the running event loop has no better place for told and counted, as LOOP in `failures`.

    That is a callback that raised, or a task that failed while nobody waited for it.
    """
    failures[LOOP] += 0
    asyncio.get_running_loop().set_exception_handler(partial(_tell_of_loop_error, failures))


def _tell_of_loop_error(
    failures: Counter[str], loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    failures[LOOP] += 1
    fields = {name: repr(context[name]) for name in _ABOUT if name in context}
    message, error = context.get("message"), context.get("exception")
    if error is None:
        log_event(_log, logging.ERROR, "event_loop_failed", message=message, **fields)
    else:
        log_failure(_log, logging.ERROR, "event_loop_failed", error, message=message, **fields)
