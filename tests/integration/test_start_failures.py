"""Whatever fails at the start or the end leaves no task, no thread and no connection behind."""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.core.errors import ConfigError, LogError
from gateway.http.server import GatewayRunner, GatewaySite
from gateway.service.app import GATEWAY, create_app
from gateway.service.worker_metrics import Siblings
from tests.support.gateway import make_settings

STEPS = (
    ("log", "start"),
    ("shared", "start"),
    ("flags", "start"),
    ("preferences", "start"),
    ("follower", "start"),
    ("replays", "start"),
    ("upstreams", "start"),
    ("supervisor", "run"),
)
CLOSES = (
    ("log", "close"),
    ("shared", "close"),
    ("flags", "close"),
    ("preferences", "close"),
    ("supervisor", "close"),
    ("upstreams", "close"),
    ("hub", "stop"),
)


@pytest.fixture
async def app(tmp_path: Path) -> web.Application:
    """A gateway with all parts: a log in a file, flags, and a shared route."""
    settings = make_settings(
        log={"url": f"sqlite:///{tmp_path}/events.db"},
        flags={"store": f"file:{tmp_path}/flags.json"},
        legacy=[
            {
                "path": "/orders",
                "upstream": "http://127.0.0.1:9/orders",
                "component": "orders",
                "entity": "order",
                "key": "id",
                "shared": True,
            }
        ],
    )
    return create_app(settings)


def fails(monkeypatch: pytest.MonkeyPatch, part: Any, name: str, error: Exception) -> None:
    """The part does what `name` stands for, and raises then."""
    real = getattr(type(part), name)

    def fail(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not part:
            return real(self, *args, **kwargs)
        made = real(self, *args, **kwargs)
        if not asyncio.iscoroutine(made):
            raise error

        async def wait() -> None:
            await made
            raise error

        return wait()

    monkeypatch.setattr(type(part), name, fail)


class Left:
    """What the process has beside what it had before."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())
        self._descriptors = set(os.listdir("/proc/self/fd"))

    async def check(self) -> None:
        # asyncio's own pool of threads is the loop's, not the gateway's.
        await asyncio.get_running_loop().shutdown_default_executor()
        assert asyncio.all_tasks() == self._tasks
        assert set(threading.enumerate()) == self._threads
        assert set(os.listdir("/proc/self/fd")) <= self._descriptors


async def run(app: web.Application, port: int = 0) -> None:
    """What `serve` does, up to where it would wait."""
    runner = GatewayRunner(app)
    try:
        await runner.setup()
        await GatewaySite(runner, "127.0.0.1", port, 30.0).start()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("part", "name"), STEPS, ids=[f"{part}.{name}" for part, name in STEPS])
async def test_a_step_of_the_start_that_fails_leaves_nothing_behind(
    app: web.Application, monkeypatch: pytest.MonkeyPatch, part: str, name: str
) -> None:
    left = Left()
    fails(monkeypatch, getattr(app[GATEWAY], part), name, MemoryError())
    with pytest.raises(MemoryError):
        await run(app)
    await left.check()


async def test_a_log_that_can_not_be_used_is_a_wrong_setting(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left()
    fails(monkeypatch, app[GATEWAY].follower, "start", LogError("It is out of reach."))
    with pytest.raises(ConfigError, match=r"log\.url: It is out of reach\."):
        await run(app)
    await left.check()


async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left()
    waits = asyncio.Event()

    async def wait() -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(type(app[GATEWAY].follower), "start", lambda self: wait())
    start = asyncio.create_task(run(app))
    await waits.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await left.check()


@pytest.mark.parametrize(("part", "name"), CLOSES, ids=[f"{part}.{name}" for part, name in CLOSES])
async def test_a_part_that_can_not_be_closed_keeps_nothing_else_open(
    app: web.Application,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    name: str,
) -> None:
    left = Left()
    fails(monkeypatch, getattr(app[GATEWAY], part), name, OSError("the disk is gone"))
    await run(app)
    await left.check()
    lines = [record for record in caplog.records if record.getMessage() == "close_failed"]
    assert [record.fields["part"] for record in lines] == [part]  # type: ignore[attr-defined]


async def test_an_address_in_use_leaves_nothing_behind(app: web.Application) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        left = Left()
        with pytest.raises(OSError, match="in use"):
            await run(app, other.getsockname()[1])
        await left.check()


async def test_workers_that_can_not_talk_to_one_another_leave_nothing_behind(
    app: web.Application, tmp_path: Path
) -> None:
    left = Left()
    Siblings(tmp_path / "not there", 1, 2).join(app)
    with pytest.raises(FileNotFoundError):
        await run(app)
    await left.check()
