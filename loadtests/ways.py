"""Three ways in which the same clients see the same changes equally fresh, and what each costs."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from loadtests.clients import Connection, Relay, Traffic, ask_again, connect, follow, relay, seen_by
from loadtests.crowd import Address, RunFailedError
from loadtests.freshness import MARKED, Viewer, mark, percentiles
from loadtests.measure import LossError
from loadtests.scenes import Scene
from loadtests.server import CpuTime, Server, gateway

Result = TypeVar("Result")

DIRECT = "polling the upstream"
THROUGH = "polling through the gateway"
PUSH = "push"
WAYS = (DIRECT, THROUGH, PUSH)

UPSTREAM_PATH, GATEWAY_PATH, ENTITY = "/orders", "/api/v1/orders", "order"
# Beyond the freshness that was promised: a busy machine answers late.
GRACE_SECONDS = 10.0
OPEN_SECONDS = 60.0
LOOK_SECONDS = 0.05

CONFIG = """
[[legacy]]
component = "orders"
path = "{path}"
upstream = "http://{host}:{port}{upstream_path}"
entity = "{entity}"
items = "/docs"
key = "orderID"
interval_seconds = {interval_s}
shared = true
{settings}"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much: `freshness_s` is the age that no change may reach unseen, but for the time of an answer."""

    clients: int
    orders: int
    freshness_s: float
    changes_per_second: float
    seconds: float

    @property
    def changes(self) -> int:
        """How many changes are made, at least two."""
        return max(2, int(self.changes_per_second * self.seconds))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way cost in `seconds`: rates are per second, bytes go both ways, CPU is in ms per second.

    `client_*` is what the clients send and get, `upstream_*` what the upstream gets and sends, without the
    changes themselves; `busted_requests` are those of `upstream_requests` that had a parameter against
    caches. The gateway's CPU is 0 where there is none; the upstream's has the changes in it.
    """

    way: str
    client_interval_s: float
    gateway_interval_s: float
    seconds: float
    client_requests: float
    client_bytes: float
    upstream_requests: float
    busted_requests: float
    upstream_bytes: float
    gateway_cpu_ms: float
    upstream_cpu_ms: float
    staleness_p50_ms: float
    staleness_p99_ms: float
    generator_cpu_share: float


def intervals(way: str, freshness_s: float) -> tuple[float, float]:
    """The seconds between two polls of a client, and of the gateway; 0 for never.

    By each way a change waits at most `freshness_s`: where it waits twice, for the gateway's poll and then
    for the client's, each wait is half as long.
    """
    return {
        DIRECT: (freshness_s, 0.0),
        THROUGH: (freshness_s / 2, freshness_s / 2),
        PUSH: (0.0, freshness_s),
    }[way]


def measure(way: str, sizes: Sizes, scene: Scene, core: int, tick: Callable[[str], None]) -> Cost:
    """Runs one way with fresh servers, in a scene of its own.

    Raises RunFailedError, and LossError where a client missed a change, was told of one twice, or got another
    list than it asked for.
    """
    return to_its_end(way, _Trial(way, sizes, scene, core, tick).run())


def to_its_end(name: str, trial: Coroutine[Any, Any, Result]) -> Result:
    """Runs it, and raises one RunFailedError or LossError of those that its tasks ended with."""
    try:
        return asyncio.run(trial)
    except* (RunFailedError, LossError) as group:
        told = group
    except* (OSError, EOFError) as group:
        told = ExceptionGroup("", [RunFailedError(f"{name}: a connection failed: {_first(group)!r}")])
    # Out here, since what is raised within `except*` becomes a group again.
    raise _first(told)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the errors in a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Trial:
    """One way, once."""

    def __init__(self, way: str, sizes: Sizes, scene: Scene, core: int, tick: Callable[[str], None]) -> None:
        self._way = way
        self._sizes = sizes
        self._scene = scene
        self._core = core
        self._tick = tick
        self._client_interval_s, self._gateway_interval_s = intervals(way, sizes.freshness_s)
        self._viewers = [Viewer(scene.changes_of(number)) for number in range(sizes.clients)]
        self._traffic = Traffic()
        self._relay: Relay | None = None
        self._gateway: Server | None = None

    async def run(self) -> Cost:
        async with AsyncExitStack() as stack:
            self._backend = stack.enter_context(Server(self._scene.upstream, self._core))
            target, path = self._backend.address, UPSTREAM_PATH
            if self._way != DIRECT:
                self._gateway = await self._start_gateway(stack)
                target, path = self._gateway.address, GATEWAY_PATH
            changer = await stack.enter_async_context(connect(self._backend.address, Traffic()))
            await stack.enter_async_context(self._clients(target, path))
            return await self._measured(changer)

    async def _start_gateway(self, stack: AsyncExitStack) -> Server:
        self._relay, between = await stack.enter_async_context(relay(self._backend.address))
        config = CONFIG.format(
            path=GATEWAY_PATH,
            host=between.host,
            port=between.port,
            upstream_path=UPSTREAM_PATH,
            entity=ENTITY,
            interval_s=self._gateway_interval_s,
            settings=self._scene.settings,
        )
        return stack.enter_context(Server(gateway(config), self._core))

    @asynccontextmanager
    async def _clients(self, target: Address, path: str) -> AsyncIterator[None]:
        """The clients, from when all have begun until the end; a failure of one ends them all."""
        async with asyncio.TaskGroup() as group:
            opened = [asyncio.Event() for _ in self._viewers]
            now = time.monotonic()
            tasks = []
            for index, viewer in enumerate(self._viewers):
                if self._way == PUSH:
                    work = follow(target, ENTITY, opened[index], viewer, self._traffic)
                else:
                    # Spread evenly, as clients that do not know one another are.
                    first_at = now + self._client_interval_s * index / len(self._viewers)
                    paths, take = self._scene.paths(index, path), self._taking(index)
                    work = ask_again(target, paths, first_at, self._client_interval_s, take, self._traffic)
                tasks.append(group.create_task(work))
            if self._way == PUSH:
                async with asyncio.timeout(OPEN_SECONDS):
                    for event in opened:
                        await event.wait()
            # Every poller has its first full answer then, and the gateway its first snapshot.
            await asyncio.sleep(self._sizes.freshness_s * 2)
            yield
            for task in tasks:
                task.cancel()

    def _taking(self, index: int) -> Callable[[bytes], None]:
        """What a client does with a list."""
        see = seen_by(self._viewers[index])

        def take(body: bytes) -> None:
            self._scene.refuse(index, body)
            see(body)

        return take

    async def _measured(self, changer: Connection) -> Cost:
        orders = [
            order["orderID"] for order in orjson.loads((await changer.ask("GET", UPSTREAM_PATH)).body)["docs"]
        ]
        asked = await self._asked(changer)
        traffic, between = self._traffic.copy(), self._relay.size if self._relay else 0
        gateway_cpu, upstream_cpu, own = self._gateway_cpu(), self._backend.cpu(), time.process_time()
        began = time.monotonic()
        await self._make_changes(changer, orders)
        # The same time for every way, so that the last change has become visible by each.
        await asyncio.sleep(self._sizes.freshness_s)
        seconds = time.monotonic() - began
        gateway_ns = self._gateway_cpu().since(gateway_cpu).total_ns
        upstream_ns = self._backend.cpu().since(upstream_cpu).total_ns
        own = time.process_time() - own
        client_requests = self._traffic.requests - traffic.requests
        client_bytes = self._traffic.size - traffic.size
        upstream_bytes = self._relay.size - between if self._relay else client_bytes
        asked.subtract(await self._asked(changer))
        await self._verify()
        p50, p99 = percentiles(self._viewers)
        return Cost(
            way=self._way,
            client_interval_s=self._client_interval_s,
            gateway_interval_s=self._gateway_interval_s,
            seconds=seconds,
            client_requests=client_requests / seconds,
            client_bytes=client_bytes / seconds,
            upstream_requests=-asked["list"] / seconds,
            busted_requests=-asked["busted"] / seconds,
            upstream_bytes=upstream_bytes / seconds,
            gateway_cpu_ms=gateway_ns / 1e6 / seconds,
            upstream_cpu_ms=upstream_ns / 1e6 / seconds,
            staleness_p50_ms=p50 * 1000,
            staleness_p99_ms=p99 * 1000,
            generator_cpu_share=own / seconds,
        )

    def _gateway_cpu(self) -> CpuTime:
        return CpuTime(0, 0, 0) if self._gateway is None else self._gateway.cpu()

    async def _asked(self, changer: Connection) -> Counter[str]:
        """How often what was asked of the upstream so far, by its own count."""
        return Counter(orjson.loads((await changer.ask("GET", "/stats")).body)["requests"])

    async def _make_changes(self, changer: Connection, orders: list[str]) -> None:
        """Changes one order after the other, so that none changes twice between two looks at it.

        The pauses differ, for changes in step with the polls would all be equally old; they differ alike by
        every way.
        """
        rng, due = random.Random(1), time.monotonic()
        for index in range(self._sizes.changes):
            due += rng.uniform(0.5, 1.5) / self._sizes.changes_per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            place = index % len(orders)
            number = self._scene.changes_of(place).make(time.monotonic())
            body = orjson.dumps({MARKED: mark(number)})
            await changer.ask("PATCH", f"{UPSTREAM_PATH}/{orders[place]}", body)
            self._tick(f"{index + 1} of {self._sizes.changes} changes")

    async def _verify(self) -> None:
        """Every client has to have seen every change, in good time; LossError where one has not."""
        deadline = time.monotonic() + GRACE_SECONDS
        while any(viewer.unseen for viewer in self._viewers):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        unseen = sum(viewer.unseen for viewer in self._viewers)
        repeated = sum(viewer.repeated for viewer in self._viewers)
        problems = []
        if unseen:
            problems.append(f"changes that clients never saw: {unseen:,}")
        if repeated:
            problems.append(f"changes that clients were told of twice: {repeated:,}")
        if problems:
            raise LossError(self._way, unseen + repeated, problems)
