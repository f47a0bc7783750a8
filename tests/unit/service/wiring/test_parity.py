"""gateway/service/wiring/parity.py: which routes are compared with push, and what does not count."""

import logging
from pathlib import Path
from typing import Any

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from flags.parity.canonical import parse_pointer
from gateway.core.history import History
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.parity_sampler import ParitySampler
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from gateway.service.settings import Settings
from gateway.service.wiring.flags import open_flags
from gateway.service.wiring.parity import make_parity
from gateway.service.wiring.routes import routes_of
from tests.support.clock import ManualClock
from tests.support.legacy import route_settings


def sampler(tmp_path: Path, *routes: dict[str, Any]) -> ParitySampler:
    clock = ManualClock()
    given = {"legacy": list(routes), "flags": {"store": f"file:{tmp_path / 'flags.json'}"}}
    settings = Settings.model_validate(given)
    log = MemoryLog(clock, max_events=10, max_age_seconds=1e9, max_bytes=2**20)
    source = UpstreamSource(routes_of(settings), log, lambda entity: False, clock)
    history = History(max_events=10, max_age_seconds=1e9, max_bytes=2**20, id_aliases={})
    flags, _ = open_flags(settings, None, clock, Outage(logging.getLogger("log"), "log", now=clock.monotonic))
    windows = GuardWindows(lambda component: 60.0)
    return make_parity(settings, source, history, flags, windows, clock, Slices(clock), None)


def route(**settings: Any) -> dict[str, Any]:
    return route_settings("http://127.0.0.1:9000/orders", 2.0, **settings)


def test_a_route_that_makes_no_events_is_not_compared(tmp_path: Path) -> None:
    made = sampler(tmp_path, route(), route(path="/open", events="none"), route(path="/own", shared=False))
    assert [lane.route.path for lane in made.lanes] == ["/api/v1/orders"]


def test_what_the_route_ignores_parity_overlooks_too(tmp_path: Path) -> None:
    given = {"ignore": ["/ageMs", "/links/*"], "parity": {"ignore": ["/at"]}}
    changes = {"/status/phase": "phase_change"}
    (lane,) = sampler(tmp_path, route(events="external", changes=changes, **given)).lanes

    rules = lane.parity._rules
    assert rules.ignored == {parse_pointer(pointer) for pointer in ("/ageMs", "/links/*", "/at")}
    assert rules.derived == {"previousPhase", "newPhase"}
