"""gateway/http/poll_recorder.py: what is the gateway's own fault."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from flags.guard.callers import Side
from flags.guard.marks import NEVER
from gateway.access.admission import Admission, Rates
from gateway.access.occupancy import OpenLimits
from gateway.access.principal import Principal
from gateway.core.credentials import Credentials
from gateway.core.errors import Overloaded
from gateway.http.client_address import Clients
from gateway.http.limits import RequestLimits
from gateway.http.poll_recorder import PollRecorder
from gateway.http.principal import PRINCIPAL
from gateway.http.selection import POLL_PATH
from gateway.migration.components import Components
from tests.support.guard import OWNED, Guarded, guarded


def recorder_of(one: Guarded) -> PollRecorder:
    selections: Any = SimpleNamespace(of=lambda request: SimpleNamespace(components=("orders",)))
    return PollRecorder(
        *(one.poll_inventory, one.windows, one.clock, OWNED, selections),
        *(one.store.snapshot, Components(OWNED, one.store.snapshot), lambda request: "192.0.2.1"),
    )


async def test_a_poll_that_waits_in_vain_for_room_is_no_fault_of_the_gateway(tmp_path: Path) -> None:
    request = make_mocked_request("GET", POLL_PATH)
    request[PRINCIPAL] = Principal(Credentials(subject="ana", token_id="t"))
    async with guarded(tmp_path) as orders:
        await orders.make()
        limits = RequestLimits(Admission(OpenLimits(streams=1), Rates(), orders.clock), Clients(()))
        with limits.long_poll(request), pytest.raises(Overloaded):
            limits.long_poll(request)
        response: Any = SimpleNamespace(status=503)
        recorder_of(orders).note(request, response)
        assert len(orders.windows["orders"].callers) == 0


async def test_a_poll_that_fails_otherwise_is(tmp_path: Path) -> None:
    request = make_mocked_request("GET", POLL_PATH)
    request[PRINCIPAL] = Principal(Credentials(subject="ana", token_id="t"))
    async with guarded(tmp_path) as orders:
        await orders.make(percentage=100)
        response: Any = SimpleNamespace(status=503)
        recorder_of(orders).note(request, response)
        found = list(orders.windows["orders"].callers.marks(0.0, orders.clock.monotonic()))
        assert [(side in Side, marks.failed != NEVER) for side, _, marks in found] == [(True, True)]
