"""A gateway that was told to stop is gone within a known time, whatever hangs in it."""

import asyncio
import signal
import sys

import pytest

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from gateway.runtime.leases import SharedLeases
from gateway.runtime.stopping import CUT_OFF
from tests.support.clock import ManualClock
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import legacy_route
from tests.support.shared_store import MemorySharedStore

SERVE = """
import asyncio, threading
from gateway.runtime import logs
from gateway.service.app import GATEWAY
from gateway.service.serve import serve
from gateway.service.settings import Settings

async def deaf(part=None):
    print("deaf", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def deaf_start(app):
    await deaf()

def extend(app):
    {extend}

logs.configure("info")
settings = Settings.model_validate({{"server": {{"port": 0, "drain_seconds": 0.1}}}})
announce = lambda address: print("serving", flush=True)
asyncio.run(serve(settings, announce=announce, extend=extend, stop_seconds=0.1))
"""


@pytest.mark.parametrize(
    ("extend", "said", "left"),
    [
        pytest.param(
            "type(app[GATEWAY].stored.log).close = deaf", "serving", "deaf > Event.wait", id="a part"
        ),
        pytest.param(
            "asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)",
            "serving",
            "asyncio_0: File",
            id="a thread",
        ),
        pytest.param("app.on_startup.append(deaf_start)", "deaf", "deaf_start > deaf", id="a start"),
    ],
)
async def test_what_hangs_is_named_and_does_not_keep_the_process(extend: str, said: str, left: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE.format(extend=extend)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert (await process.stdout.readline()).decode().strip() == said
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    log = err.decode()
    assert process.returncode == CUT_OFF, log
    assert "level=error event=stop_cut_off" in log
    assert left in log


class Silent(MemorySharedStore):
    """A store that is asked to take something away, and never answers."""

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        await asyncio.Event().wait()
        return True


async def test_leases_that_can_not_be_given_back_hold_up_no_stop() -> None:
    clock = ManualClock()
    leases = SharedLeases(Silent(clock), "one", clock)
    log = MemoryLog(clock, max_events=9, max_age_seconds=1e9, max_bytes=2**20)
    source = UpstreamSource(
        [legacy_route()], log, lambda entity: False, clock, leases=leases, release_seconds=0.01
    )
    await source.start()
    assert await leases.acquire("poll:/orders")
    async with asyncio.timeout(DEADLINE_SECONDS):
        await source.close()
