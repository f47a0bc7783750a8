"""`/healthz`, `/readyz` and `/metrics` (docs/protocol.md, section 11)."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.core.access_errors import InsufficientScope
from gateway.core.errors import TidegateError
from gateway.http.principal import principal_of
from gateway.http.problems import problem_response

REGISTRY = web.AppKey("registry", CollectorRegistry)
"""The metrics of this process."""
EXPOSITION: web.AppKey[Callable[[], Awaitable[bytes]]] = web.AppKey("exposition")
"""Makes what `/metrics` shows, in Prometheus' text format; where there is none, that is REGISTRY."""


class NotReady(TidegateError):
    """The gateway can't serve now; load balancers are to ask another node."""

    status = 503
    slug = "not-ready"
    title = "Not ready"


class HealthHandler:
    """`reasons` gives why the gateway is not ready, one sentence each; none where it is.

    `warnings` gives what is wrong, or about to be, although it is. They make no node unready: what is wrong
    with the log's server is wrong with every node, and all would leave the load balancer at once.
    """

    def __init__(
        self,
        reasons: Callable[[], list[str]],
        warnings: Callable[[], list[str]],
        registry: CollectorRegistry,
    ) -> None:
        self._reasons = reasons
        self._warnings = warnings
        self._registry = registry

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app[REGISTRY] = self._registry

    async def healthz(self, request: web.Request) -> web.Response:
        return _status("ok")

    async def readyz(self, request: web.Request) -> web.Response:
        reasons = self._reasons()
        warnings = [warning for warning in self._warnings() if warning not in reasons]
        if reasons:
            return problem_response(NotReady(" ".join(reasons)), reasons=reasons, warnings=warnings)
        return _status("ready", warnings=warnings)

    async def metrics(self, request: web.Request) -> web.Response:
        principal = principal_of(request)
        if not (principal.admin or principal.metrics):
            raise InsufficientScope("Metrics need a token or key with metrics or admin.")
        exposition = request.app.get(EXPOSITION)
        body = generate_latest(self._registry) if exposition is None else await exposition()
        return web.Response(
            body=body,
            headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"},
        )


def _status(status: str, **members: list[str]) -> web.Response:
    return web.json_response({"status": status, **members}, headers={"Cache-Control": "no-store"})
