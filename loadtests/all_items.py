"""A list of which every item changes at once: what that costs the gateway, and how long it holds its loop."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtests.clients import Traffic, connect, listen
from loadtests.crowd import RunFailedError
from loadtests.decoder import Frame
from loadtests.list_backend import an_order
from loadtests.measure import LossError
from loadtests.scenes import lists
from loadtests.server import Server
from loadtests.watched_gateway import longest, watched
from loadtests.ways import CONFIG, ENTITY, GATEWAY_PATH, OPEN_SECONDS, UPSTREAM_PATH, to_its_end

# For one change of all items to reach all streams.
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much: items of about `size` bytes, the streams that follow them, how often all items change."""

    items: int
    size: int
    streams: int
    rounds: int
    interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Changed:
    """All items changed once: the seconds until every stream had every event, from the upstream's change on,
    with the wait for the poll; the gateway's CPU in that time; and the longest hold of its loop, by the clock
    and in CPU of the loop's thread."""

    seconds: float
    cpu_s: float
    hold_ms: float
    hold_cpu_ms: float


class Follower:
    """One stream: every item's event of every round is to come, in the order of the list."""

    def __init__(self, amounts: Amounts) -> None:
        self._orders = [an_order(number, 1, amounts.size) for number in range(amounts.items)]
        self.heard = 0

    def take(self, frame: Frame) -> None:
        """The next event. Raises LossError where it is another one than that which has to come."""
        past, place = divmod(self.heard, len(self._orders))
        before, event = self._orders[place] | {"round": past}, orjson.loads(frame.data)
        expected = {
            "eventType": f"{ENTITY}_updated",
            "entityId": before["orderID"],
            "data": before | {"round": past + 1},
            "previous": before,
        }
        if {name: event.get(name) for name in expected} != expected:
            raise LossError(
                "all items",
                1,
                [
                    f"{expected['entityId']} of round {past + 1} had to come, and "
                    f"{event['eventType']} of {event['entityId']} did, or its members differ"
                ],
            )
        self.heard += 1


def measure(amounts: Amounts, core: int, tick: Callable[[str], None]) -> list[Changed]:
    """All rounds, with fresh servers. Raises RunFailedError, and LossError where an event is not as it has
    to be."""
    return to_its_end("all items", _run(amounts, core, tick))


async def _run(amounts: Amounts, core: int, tick: Callable[[str], None]) -> list[Changed]:
    async with AsyncExitStack() as stack:
        holds = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holds-"))) / "holds"
        backend = stack.enter_context(Server(lists(amounts.items, 1, amounts.size), core))
        config = CONFIG.format(
            path=GATEWAY_PATH,
            host=backend.address.host,
            port=backend.address.port,
            upstream_path=UPSTREAM_PATH,
            entity=ENTITY,
            interval_s=amounts.interval_s,
            settings="",
        )
        gateway = stack.enter_context(Server(watched(config, holds), core))
        changer = await stack.enter_async_context(connect(backend.address, Traffic()))
        followers = [Follower(amounts) for _ in range(amounts.streams)]
        await stack.enter_async_context(_following(gateway, followers))
        # The gateway has the list to compare with once it answers with it.
        poller = await stack.enter_async_context(connect(gateway.address, Traffic()))
        await poller.ask("GET", GATEWAY_PATH)
        found = []
        for number in range(1, amounts.rounds + 1):
            cpu, began = gateway.cpu(), time.monotonic()
            await changer.ask("POST", "/rounds")
            while min(follower.heard for follower in followers) < number * amounts.items:
                if time.monotonic() > began + PATIENCE_SECONDS:
                    raise RunFailedError(f"round {number} took longer than {PATIENCE_SECONDS:g} s")
                tick(f"{min(follower.heard for follower in followers):,} events have come to each stream")
                await asyncio.sleep(LOOK_SECONDS)
            ended = time.monotonic()
            used = gateway.cpu().since(cpu)
            hold = longest(holds, began, ended)
            found.append(Changed(ended - began, used.total_ns / 1e9, hold.late_ms, hold.cpu_ms))
        # What comes now comes for the second time, and its follower refuses it.
        await asyncio.sleep(amounts.interval_s)
        return found


@asynccontextmanager
async def _following(gateway: Server, followers: list[Follower]) -> AsyncIterator[None]:
    """The streams, from when all are open until the end; a failure of one ends them all."""
    async with asyncio.TaskGroup() as group:
        opened = [asyncio.Event() for _ in followers]
        tasks = [
            group.create_task(listen(gateway.address, ENTITY, event, follower.take, Traffic()))
            for event, follower in zip(opened, followers, strict=True)
        ]
        async with asyncio.timeout(OPEN_SECONDS):
            for event in opened:
                await event.wait()
        yield
        for task in tasks:
            task.cancel()
