"""What a serving process asks of its interpreter."""

import asyncio
import gc
import logging
import platform
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Iterator

import pytest

from gateway.runtime.logs import LogfmtFormatter
from gateway.runtime.process import collect_garbage_rarely, hear_of_loop_errors
from tests.support.gateway import LOOPS, LoopFactory


@pytest.fixture(autouse=True)
def _collecting_as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_already_is_left_out_of_collections_which_become_rare() -> None:
    gc.set_threshold(700, 10, 10)
    collect_garbage_rarely()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (2_000, 3, 300)


def test_cycles_are_collected_all_the_same() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.own = self

    collect_garbage_rarely()
    gone = weakref.ref(Cycle())
    kept: list[list[int]] = [[] for _ in range(3 * gc.get_threshold()[0])]
    assert gone() is None, f"outlived {len(kept)} containers"


BUFFERS = """
from pathlib import Path
from gateway.runtime.process import give_long_buffers_back

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

give_long_buffers_back()
usual = b"x" * (8 << 20)
del usual
before = held()
long, short = [], []
for _ in range(16):
    long.append(b"x" * (4 << 20))
    short.append(b"x" * (64 << 10))
del long
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose threshold it is")
def test_long_buffers_go_back_to_the_system_whatever_was_freed_before() -> None:
    done = subprocess.run([sys.executable, "-c", BUFFERS], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 4 << 20


async def forgotten() -> None:
    raise ValueError("nobody waits for this")


def broken() -> None:
    raise ValueError("nobody waits for this")


@pytest.mark.parametrize("loop_factory", LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize("how", ["task", "callback", "without an error"])
def test_what_the_event_loop_complains_of_is_one_line_and_counted(
    how: str, loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    failures: Counter[str] = Counter()

    async def main() -> None:
        hear_of_loop_errors(failures)
        loop = asyncio.get_running_loop()
        if how == "task":
            task = asyncio.create_task(forgotten())
            await asyncio.wait([task])
            del task
            gc.collect()
        elif how == "callback":
            loop.call_soon(broken)
            await asyncio.sleep(0)
        else:
            loop.call_exception_handler({"message": "a thing was left open", "transport": "<it>"})

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())

    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "event_loop_failed")
    assert record.__dict__["fields"]["message"]
    assert failures == {"event_loop": 1}
    line = LogfmtFormatter().format(record)
    assert ("ValueError: nobody waits for this" in line) == (how != "without an error")


async def test_errors_of_the_loop_are_counted_from_zero() -> None:
    failures: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    hear_of_loop_errors(failures)
    loop.set_exception_handler(before)
    assert dict(failures) == {"event_loop": 0}
