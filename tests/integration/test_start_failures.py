"""Whatever fails at the start or the end leaves no task, thread, connection, lock or lease behind."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.core.errors import ConfigError, LogError
from gateway.http.server import GatewayRunner, GatewaySite
from gateway.ports.clock import SystemClock
from gateway.service.app import GATEWAY, create_app
from gateway.service.settings import Settings
from gateway.service.wiring.logs import open_leases
from gateway.service.worker_metrics import OtherWorkers
from tests.support.cluster import shared_log
from tests.support.gateway import make_settings
from tests.support.interrupted import Interrupted

STEPS = (
    ("stored.log", "start"),
    ("stored.shared", "start"),
    ("flags.store", "start"),
    ("flags.preferences", "start"),
    ("delivery.follower", "start"),
    ("delivery.replays", "start"),
    ("delivery.supervisor", "run"),
    ("upstreams.source", "start"),
    ("migration", "start"),
)
CLOSES = {
    "upstreams": ("upstreams.source", "close"),
    "supervisor": ("delivery.supervisor", "close"),
    "hub": ("delivery.hub", "stop"),
    "preferences": ("flags.preferences", "close"),
    "flags": ("flags.store", "close"),
    "shared": ("stored.shared", "close"),
    "log": ("stored.log", "close"),
}
"""The parts in the order in which they end."""

LEASE = "poll:/orders"


@pytest.fixture(params=["sqlite", "postgres", "redis"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where a log may be that lasts."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/events.db"
    else:
        async with shared_log(request.param) as shared:
            yield shared


def settings_of(directory: Path, url: str) -> Settings:
    """A gateway with all parts: a log that lasts, flags, and a shared route."""
    return make_settings(
        log={"url": url},
        flags={"store": f"file:{directory}/flags.json"},
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


@pytest.fixture
async def app(tmp_path: Path) -> web.Application:
    return create_app(settings_of(tmp_path, f"sqlite:///{tmp_path}/events.db"))


def part_of(app: web.Application, path: str) -> Any:
    return attrgetter(path)(app[GATEWAY])


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
        self._descriptors = _descriptors()

    async def check(self) -> None:
        # asyncio's own pool of threads is the loop's, not the gateway's.
        await asyncio.get_running_loop().shutdown_default_executor()
        assert asyncio.all_tasks() == self._tasks
        assert set(threading.enumerate()) == self._threads
        assert _descriptors() <= self._descriptors


def _descriptors() -> set[str]:
    """What is open. By what it is: its number may be another's by now."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        # That of the directory is closed again.
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


def closes_that_failed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The parts of the lines `close_failed`."""
    lines = [record for record in caplog.records if record.getMessage() == "close_failed"]
    return [record.fields["part"] for record in lines]  # type: ignore[attr-defined]


async def run(app: web.Application, port: int = 0, serves: asyncio.Event | None = None) -> None:
    """What `serve` does, up to where it would wait; `serves` is set then."""
    runner = GatewayRunner(app)
    try:
        await runner.setup()
        await GatewaySite(runner, "127.0.0.1", port, 30.0).start()
        if serves is not None:
            serves.set()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("part", "name"), STEPS, ids=[f"{part}.{name}" for part, name in STEPS])
async def test_a_step_of_the_start_that_fails_leaves_nothing_behind(
    app: web.Application, monkeypatch: pytest.MonkeyPatch, part: str, name: str
) -> None:
    left = Left()
    fails(monkeypatch, part_of(app, part), name, MemoryError())
    with pytest.raises(MemoryError):
        await run(app)
    await left.check()


async def test_a_log_that_can_not_be_used_is_a_wrong_setting(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left()
    fails(monkeypatch, app[GATEWAY].delivery.follower, "start", LogError("It is out of reach."))
    with pytest.raises(ConfigError, match=r"log\.url: It is out of reach\."):
        await run(app)
    await left.check()


async def test_a_start_that_is_cancelled_anywhere_leaves_nothing_behind(tmp_path: Path, url: str) -> None:
    settings = settings_of(tmp_path, url)

    async def is_cancelled_at(wait: int) -> bool:
        """Whether a start has so many waits; it is cancelled there."""
        left, serves = Left(), asyncio.Event()

        async def start() -> None:
            await Interrupted(run(create_app(settings), serves=serves), wait, serves.is_set)

        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.create_task(start())
        await left.check()
        return not serves.is_set()

    # Each start meets what the one before may have left: its files, their locks, and its server. A loop of
    # its own has a pool of threads of its own.
    waits = 0
    while await asyncio.to_thread(asyncio.run, is_cancelled_at(waits + 1)):
        waits += 1
    assert waits > 5


async def test_a_start_that_fails_gives_its_leases_back(tmp_path: Path, url: str) -> None:
    settings = settings_of(tmp_path, url)
    app = create_app(settings)
    leases = app[GATEWAY].stored.leases
    assert leases is not None

    async def acquire(_: web.Application) -> None:
        assert await leases.acquire(LEASE)
        raise MemoryError

    app.on_startup.append(acquire)
    with pytest.raises(MemoryError):
        await run(app)

    others = open_leases(settings, SystemClock())
    assert others is not None
    await others.store.start()
    try:
        assert await others.store.get(f"lease:{LEASE}") is None
        assert await others.acquire(LEASE)
        await others.release_all()
    finally:
        await others.store.close()


async def test_parts_end_in_the_opposite_order_although_each_fails(
    app: web.Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = Left()
    for part, name in CLOSES.values():
        fails(monkeypatch, part_of(app, part), name, OSError("the disk is gone"))
    await run(app)
    await left.check()
    assert closes_that_failed(caplog) == list(CLOSES)


@pytest.mark.parametrize("label", CLOSES)
async def test_a_part_that_can_not_be_closed_keeps_nothing_else_open(
    app: web.Application,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    label: str,
) -> None:
    left = Left()
    part, name = CLOSES[label]
    fails(monkeypatch, part_of(app, part), name, OSError("the disk is gone"))
    await run(app)
    await left.check()
    assert closes_that_failed(caplog) == [label]


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
    OtherWorkers(tmp_path / "not there", 1, 2).join(app)
    with pytest.raises(FileNotFoundError):
        await run(app)
    await left.check()
