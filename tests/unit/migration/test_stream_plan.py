"""gateway/migration/stream_plan.py: what an open stream is told. What that does has tests from outside."""

import json

import pytest

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from gateway.core.selectors import Selector
from gateway.migration.components import Asked, Components
from gateway.migration.stream_plan import StreamPlans
from tests.support.flags import make_flag


@pytest.mark.parametrize(("share", "delay_ms"), [(0.0, 0), (0.5, 400), (1.0, 800)])
def test_who_is_sent_to_polling_waits_a_drawn_part_of_the_interval(share: float, delay_ms: int) -> None:
    flag = make_flag(component="orders", stage="live", percentage=100, pollIntervalMs=800)
    flags = Flags({"orders": flag})
    components = Components({"orders": frozenset({"order"})}, lambda: flags)
    stream_plans = StreamPlans(
        components, lambda caller: caller, draw=lambda low, high: low + share * (high - low)
    )
    footing = stream_plans.footing(Asked(Selector(), ("orders",), Caller(client="c")))

    flags = Flags({"orders": flag}, kill_all=True)
    reassignment = stream_plans.reassignment(footing)

    assert reassignment is not None
    kind, data = reassignment.tell("e.7-0").decode().splitlines()[:2]
    told = json.loads(data.removeprefix("data: "))
    assert (kind, told["mode"], told["delayMs"]) == ("event: fetch-mode", "polling", delay_ms)
