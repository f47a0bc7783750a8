"""`GET /api/v1/admin/flags/{component}/guard`: what the guard makes of a component, and from what."""

from typing import Any

from aiohttp import web

from flags.guard.verdict import Action, Promote
from gateway.core.errors import NoSuchFlag
from gateway.http.admin.access import administrators_only
from gateway.http.admin.flags import FLAG_PATH
from gateway.http.figures import figures_response
from gateway.migration.guard_loop import GuardLoop, GuardReport


class GuardHandler:
    """Reads; changes nothing."""

    def __init__(self, guard_loop: GuardLoop) -> None:
        self._guard_loop = guard_loop

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(FLAG_PATH + "/guard", administrators_only(self.guard))

    async def guard(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        report = self._guard_loop.report(component)
        if report is None:
            raise NoSuchFlag(f"{component} has no flag.")
        return figures_response(request, _wire(report))


def _wire(report: GuardReport) -> dict[str, Any]:
    flag, verdict, settings = report.flag, report.verdict, report.flag.guard
    return {
        "component": flag.component,
        "revision": flag.revision,
        "verdict": verdict.kind,
        "sentence": verdict.sentence,
        "metric": verdict.metric,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "dryRun": settings.dry_run,
        "autoPromote": settings.auto_promote,
        "windowSeconds": settings.window_seconds,
        "minSamples": settings.min_samples,
        "metrics": _metrics(report),
        "pushLagP50Ms": report.figures.push_lag_p50_ms,
        "state": _state(report),
        "action": None if report.action is None else _action(report.action),
    }


def _metrics(report: GuardReport) -> dict[str, Any]:
    """By the names that the flag's thresholds have."""
    thresholds = report.flag.guard.wire()
    return {
        metric.value: {
            "value": figure.value,
            "samples": figure.samples,
            "measured": metric not in report.unmeasured,
            **thresholds[metric],
        }
        for metric, figure in report.figures.by_metric.items()
    }


def _state(report: GuardReport) -> dict[str, Any]:
    state = report.state
    failing = None if state.failing_since is None else round(report.now - state.failing_since, 3)
    return {
        "sinceChangeSeconds": round(report.now - state.changed_at, 3),
        "failingSeconds": failing,
        "successes": state.successes,
        "successesToPromote": report.flag.guard.successes_to_promote,
        "latch": None if report.flag.latch is None else report.flag.latch.wire(),
    }


def _action(action: Action) -> dict[str, Any]:
    if isinstance(action, Promote):
        return {"do": "promote", "percentage": action.percentage, "reason": action.reason}
    return {
        "do": "rollback",
        "metric": action.metric,
        "value": action.value,
        "threshold": action.threshold,
        "reason": action.reason,
    }
