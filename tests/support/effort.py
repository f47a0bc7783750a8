"""What work costs, counted and not timed: the same on a slow machine as on a quick one."""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_of(action: Callable[[], Any]) -> int:
    """How many calls `action` makes, of functions in Python and in C; each step of a generator is one."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    # A collection that happens to fall in here calls finalizers and hypothesis' own look at the clock.
    was_collecting = gc.isenabled()
    gc.disable()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
        if was_collecting:
            gc.enable()
    return calls


def peak_bytes_of(action: Callable[[], Any]) -> int:
    """How much more memory than before was in use at once while `action` ran, in bytes."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


READS = 256
READ_BYTES = 4096


def is_linear_in_reads(feed: Callable[[bytes], Any], start: bytes) -> bool:
    """Whether a parser takes a line of a mebibyte, read in small parts, without a copy of it for each part.

    A buffer that grows by a share of itself is copied now and then, and at most for one part in four.
    """
    feed(start)
    part = b"x" * READ_BYTES
    costly = sum(peak_bytes_of(lambda: feed(part)) > 8 * READ_BYTES for _ in range(READS))
    return costly < READS / 4


def kept_bytes_of(action: Callable[[], Any]) -> int:
    """How much more memory than before is in use after `action`, in bytes."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        action()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
