"""gateway/siblings.py: the metrics of all workers, whichever is asked."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from gateway.handlers.health import REGISTRY
from gateway.siblings import Siblings


@asynccontextmanager
async def worker(directory: Path, number: int, count: int, events: int) -> AsyncIterator[Siblings]:
    """Worker `number`, which has counted so many events."""
    app = web.Application()
    app[REGISTRY] = CollectorRegistry()
    Counter("demo_events", "Events.", ["kind"], registry=app[REGISTRY]).labels("any").inc(events)
    siblings = Siblings(directory, number, count)
    siblings.join(app)
    runner = web.AppRunner(app)
    await runner.setup()
    yield siblings
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
