"""`tidegate check-config --try`: what the upstreams of a configuration answer, and what comes of it."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from gateway.cli import DONE, REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.cli.routes.asking import Trial, asked_twice, polls_of
from gateway.cli.routes.trial_report import report_on
from gateway.cli.terminal import note
from gateway.ports.clock import SystemClock
from gateway.ports.legacy_lists import ListName, is_value, route_of
from gateway.ports.legacy_route import LegacyRoute
from gateway.service.settings import Settings
from gateway.service.wiring.routes import routes_of


def values_of(given: Iterable[str]) -> dict[str, str]:
    """The values for parameters of paths, of `customer=7`. Raises CommandError for anything else."""
    values = {}
    for pair in given:
        name, mark, value = pair.partition("=")
        if not mark or not is_value(value):
            raise CommandError(
                WRONG_INPUT, "--with must be a parameter and its value, one step of a path: customer=7."
            )
        values[name] = value
    return values


async def tried(settings: Settings, values: Mapping[str, str], pause_seconds: float) -> tuple[list[str], int]:
    """What is to be said of each route whose upstream is polled, and the exit code of all.

    `values` fill the parameters of paths in. Raises ConfigError where an upstream can't be asked at all.
    """
    said: dict[str, list[str]] = {}
    codes = {DONE}
    clock = SystemClock()
    routes = {route.path: route for route in routes_of(settings)}
    async with AsyncExitStack() as closing:
        polls = await closing.enter_async_context(polls_of(list(routes.values()), clock))
        trials = []
        for path, route in routes.items():
            reason = _left_out(route, values)
            said[path] = [] if reason is None else [path, f"  not asked: {reason}"]
            if reason is None:
                trial = Trial(_filled(route, values), polls, clock, settings.base_dir)
                closing.push_async_callback(trial.close)
                trials.append((path, trial))
        heard = await asked_twice([trial for _, trial in trials], pause_seconds, note)
        for (path, trial), answers in zip(trials, heard, strict=True):
            said[path], code = report_on(trial.route, *answers)
            codes.add(code)
    # An answer that can't be used stays so; one that did not come may come later.
    code = next(code for code in (REFUSED, UNREACHABLE, DONE) if code in codes)
    return [line for lines in said.values() for line in lines], code


def _left_out(route: LegacyRoute, values: Mapping[str, str]) -> str | None:
    if not route.shared:
        return "without shared = true nothing is polled, and each caller's request goes through"
    missing = [name for name in route.parameters if name not in values]
    if missing:
        return f"its path has parameters: say --with {missing[0]}=…"
    return None


def _filled(route: LegacyRoute, values: Mapping[str, str]) -> LegacyRoute:
    return route_of(route, ListName(tuple(values[name] for name in route.parameters)))
