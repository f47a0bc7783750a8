"""What the workers of one address tell one another: their metrics, over Unix sockets in one directory.

Whoever scrapes the address reaches any one of them, a different one each time: so each answers for all, every
sample with the label `worker`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from gateway.handlers.figures import PROCESS
from gateway.handlers.health import EXPOSITION, REGISTRY

_ANSWER_SECONDS = 2.0
_PATH = "/metrics"


class Siblings:
    """The workers 1 to `count`, of which this process is `number`; `directory` is where their sockets are."""

    def __init__(self, directory: Path, number: int, count: int) -> None:
        self._directory = directory
        self._number = number
        self._others = [other for other in range(1, count + 1) if other != number]
        self._registry = CollectorRegistry()

    def join(self, app: web.Application) -> None:
        """Lets `/metrics` of the application answer for all workers, and the others ask this one."""
        self._registry = app[REGISTRY]
        app[EXPOSITION] = self.expose
        app[PROCESS] = replace(app[PROCESS], worker=self._number, workers=1 + len(self._others))
        app.cleanup_ctx.append(self._listening)

    async def expose(self) -> bytes:
        """The metrics of all workers in Prometheus' text format.

        `tidegate_worker_up` is 0 for a worker that does not answer, whose metrics are missing then.
        """
        answers = await asyncio.gather(*map(self._ask, self._others))
        texts = dict(zip(self._others, answers, strict=True))
        texts[self._number] = generate_latest(self._registry).decode()
        together = CollectorRegistry()
        together.register(_Together(sorted(texts.items())))
        return generate_latest(together)

    async def _listening(self, _app: web.Application) -> AsyncIterator[None]:
        own = web.Application()
        own.router.add_get(_PATH, self._answer)
        runner = web.AppRunner(own, access_log=None)
        try:
            await runner.setup()
            socket = self._socket(self._number)
            # A worker that was killed leaves its socket behind, and this one may be in its place.
            socket.unlink(missing_ok=True)
            await web.UnixSite(runner, str(socket)).start()
            yield
        finally:
            await runner.cleanup()

    def _socket(self, number: int) -> Path:
        return self._directory / f"worker-{number}.sock"

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry))

    async def _ask(self, number: int) -> str | None:
        connector = aiohttp.UnixConnector(str(self._socket(number)))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker{_PATH}", raise_for_status=True) as response,
            ):
                return await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return None


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
