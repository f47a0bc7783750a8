"""worker_metrics.py: the metrics of all workers, whichever is asked, and what all are to hold."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from flags.store.file_store import file_flag_store
from flags.store.local_kills import LocalKills
from gateway.http.admin.flags import LOCAL_KILLS
from gateway.http.figures import PROCESS, Process
from gateway.http.health import REGISTRY
from gateway.service.worker_metrics import OtherWorkers
from tests.support.flags import Told


class Worker(NamedTuple):
    """One worker: what it answers for all, and its kills."""

    expose: Callable[[], Awaitable[bytes]]
    kills: LocalKills


@asynccontextmanager
async def worker(directory: Path, number: int, count: int, events: int = 0) -> AsyncIterator[Worker]:
    """Worker `number`, which has counted so many events."""
    app = web.Application()
    app[PROCESS] = Process("here", shares_log=True)
    other_workers = OtherWorkers(directory, number, count)
    # Over a store that was not started, and takes nothing.
    store = file_flag_store(directory / "flags.json", tell=Told())
    app[LOCAL_KILLS] = LocalKills(store, tell=Told(), others=other_workers, write_seconds=0.001)
    app[REGISTRY] = CollectorRegistry()
    Counter("demo_events", "Events.", ["kind"], registry=app[REGISTRY]).labels("any").inc(events)
    other_workers.join(app)
    runner = web.AppRunner(app)
    await runner.setup()
    yield Worker(other_workers.expose, app[LOCAL_KILLS])
    await runner.cleanup()


def values(text: bytes) -> list[str]:
    lines = text.decode().splitlines()
    return [line for line in lines if not line.startswith("#") and "_created" not in line]


async def test_each_worker_answers_for_all(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(worker(tmp_path, number, 2, events=10 * number))
            for number in (1, 2)
        ]

        answers = [await first.expose(), await second.expose()]

    assert answers[0] == answers[1] != b""
    assert values(answers[0]) == [
        'tidegate_worker_up{worker="1"} 1.0',
        'tidegate_worker_up{worker="2"} 1.0',
        'demo_events_total{kind="any",worker="1"} 10.0',
        'demo_events_total{kind="any",worker="2"} 20.0',
    ]


async def test_a_worker_that_does_not_answer_is_down_and_the_others_are_shown(tmp_path: Path) -> None:
    async with worker(tmp_path, 2, 3, events=5) as second:
        (tmp_path / "worker-3.sock").touch()

        answer = await second.expose()

    assert values(answer) == [
        'tidegate_worker_up{worker="1"} 0.0',
        'tidegate_worker_up{worker="2"} 1.0',
        'tidegate_worker_up{worker="3"} 0.0',
        'demo_events_total{kind="any",worker="2"} 5.0',
    ]


async def test_a_worker_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "worker-1.sock").touch()
    async with worker(tmp_path, 1, 2, events=1), worker(tmp_path, 2, 2, events=2) as second:
        answer = await second.expose()

    assert 'tidegate_worker_up{worker="1"} 1.0' in values(answer)


async def test_what_one_worker_is_told_to_kill_all_hold_and_lift(tmp_path: Path) -> None:
    async with worker(tmp_path, 1, 3) as (_, first), worker(tmp_path, 2, 3) as (_, second):
        assert await first.kill_here(None, who="ann", reason="fire") == [3], "worker 3 has not begun"
        assert second.snapshot().kill_all
        assert (second.held[None].who, second.held[None].reason) == ("ann", "fire")

        async with worker(tmp_path, 3, 3) as (_, late):
            assert late.snapshot().kill_all, "who begins asks the others"
            assert await second.lift_here(None) == []

        assert not any(kills.held for kills in (first, second, late))
