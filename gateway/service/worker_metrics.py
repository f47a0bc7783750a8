"""What the workers of one address tell one another, over Unix sockets in one directory.

Whoever asks at the address reaches any one of them, a different one each time. So each answers for the
metrics of all, every sample with the label `worker`; and what one is told to kill while the flags' store
takes nothing (flags/store/local_kills.py), it tells the others. One that is started asks them what they hold.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from flags.store.local_kills import HeldKill, LocalKills
from gateway.http.admin.flags import LOCAL_KILLS
from gateway.http.figures import PROCESS
from gateway.http.health import EXPOSITION, REGISTRY

_ANSWER_SECONDS = 2.0
_METRICS = "/metrics"
_KILLS = "/local-kills"


class OtherWorkers:
    """The workers 1 to `count`, of which this process is `number`; `directory` is where their sockets are.

    The application that joins them has kills whose `others` they are.
    """

    def __init__(self, directory: Path, number: int, count: int) -> None:
        self._directory = directory
        self._number = number
        self._others = [other for other in range(1, count + 1) if other != number]
        self._registry = CollectorRegistry()

    def join(self, app: web.Application) -> None:
        """Lets the application answer for all workers and tell them what is killed, and the others ask it."""
        self._registry = app[REGISTRY]
        app[EXPOSITION] = self.expose
        app[PROCESS] = replace(app[PROCESS], worker=self._number, workers=1 + len(self._others))
        app.cleanup_ctx.append(self._listening)

    async def expose(self) -> bytes:
        """The metrics of all workers in Prometheus' text format.

        `tidegate_worker_up` is 0 for a worker that does not answer, whose metrics are missing then.
        """
        answers = await asyncio.gather(*(self._ask(other, _METRICS) for other in self._others))
        texts = dict(zip(self._others, answers, strict=True))
        texts[self._number] = generate_latest(self._registry).decode()
        together = CollectorRegistry()
        together.register(_Together(sorted(texts.items())))
        return generate_latest(together)

    async def spread(self, component: str | None, held: HeldKill | None) -> Sequence[int]:
        """See flags.store.local_kills.Others."""
        order = orjson.dumps(_order(component, held))
        answers = await asyncio.gather(*(self._ask(other, _KILLS, order) for other in self._others))
        return [other for other, answer in zip(self._others, answers, strict=True) if answer is None]

    async def _learn(self, kills: LocalKills) -> None:
        """Holds what the others hold, as far as they answer: they may have been told before this began."""
        for answer in await asyncio.gather(*(self._ask(other, _KILLS) for other in self._others)):
            for order in orjson.loads(answer or "[]"):
                _obey(kills, order)

    async def _told(self, request: web.Request) -> web.Response:
        _obey(request.app[LOCAL_KILLS], orjson.loads(await request.read()))
        return web.Response()

    async def _holding(self, request: web.Request) -> web.Response:
        orders = [_order(*item) for item in request.app[LOCAL_KILLS].held.items()]
        return web.Response(body=orjson.dumps(orders))

    async def _listening(self, app: web.Application) -> AsyncIterator[None]:
        own = web.Application()
        own[LOCAL_KILLS] = app[LOCAL_KILLS]
        own.router.add_get(_METRICS, self._answer)
        own.router.add_get(_KILLS, self._holding)
        own.router.add_post(_KILLS, self._told)
        runner = web.AppRunner(own, access_log=None, shutdown_timeout=_ANSWER_SECONDS)
        try:
            await runner.setup()
            socket = self._socket(self._number)
            # A worker that was killed leaves its socket behind, and this one may be in its place.
            socket.unlink(missing_ok=True)
            await web.UnixSite(runner, str(socket)).start()
            await self._learn(app[LOCAL_KILLS])
            yield
        finally:
            await runner.cleanup()

    def _socket(self, number: int) -> Path:
        return self._directory / f"worker-{number}.sock"

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry))

    async def _ask(self, number: int, path: str, order: bytes | None = None) -> str | None:
        """What the worker answers, to an order or without one; None where it does not."""
        connector = aiohttp.UnixConnector(str(self._socket(number)))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(
                    "GET" if order is None else "POST",
                    f"http://worker{path}",
                    data=order,
                    raise_for_status=True,
                ) as response,
            ):
                return await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return None


def _order(component: str | None, held: HeldKill | None) -> dict[str, Any]:
    """To hold a kill, or without one to lift it, as JSON between workers."""
    return {"component": component, "held": None if held is None else [held.who, held.reason]}


def _obey(kills: LocalKills, order: Mapping[str, Any]) -> None:
    component, held = order["component"], order["held"]
    if held is None:
        kills.lift(component)
    elif component not in kills.held:
        kills.hold(component, HeldKill(*held))


class _Together(Collector):
    """The metrics of several workers as one: by worker its text, None where there is none."""

    def __init__(self, texts: Sequence[tuple[int, str | None]]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("tidegate_worker_up", "Whether the worker answers.", labels=["worker"])
        families: dict[str, Metric] = {}
        for number, text in self._texts:
            up.add_metric([str(number)], float(text is not None))
            for family in text_string_to_metric_families(text or ""):
                known = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(number)}
                    known.add_sample(sample.name, labels, sample.value)
        yield up
        yield from families.values()
