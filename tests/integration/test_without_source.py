"""A component that nothing makes events of goes no further than `shadow` (docs/protocol.md, section 8)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flags.errors import ForbiddenMove
from gateway.cli import REFUSED
from tests.support.admin import FLAGS, KILL_ALL, ORDERS, Operator, operator, refused
from tests.support.api import EVENTS, POLL, Client
from tests.support.command import run
from tests.support.flags import write_flags
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.migration import FETCH_MODE
from tests.support.upstream import Upstream, upstream

SHARED = {"shared": True, "events": "poll"}
NOT_SHARED = {"shared": False, "events": "poll"}
OTHER = {"path": "/api/v1/drafts", "entity": "draft"}
INVOICES = f"{FLAGS}/invoices"


class Silent:
    """A gateway whose component `orders` has one route that is not shared, and `invoices` none at all."""

    def __init__(self, gateway: GatewayThread, backend: Upstream, admin: Operator, path: Path) -> None:
        self.gateway = gateway
        self.backend = backend
        self.admin = admin
        self.path = path
        self.client = Client(gateway.port)

    async def mode(self, component: str = "orders") -> tuple[str, str, str | None, str | None]:
        """What `/fetch-mode` says: mode, reason, cause and stage."""
        told = (await self.client.get(FETCH_MODE, {"component": component, "clientId": "c"})).json
        return told["mode"], told["reason"], told["cause"], told["stage"]


@contextlib.asynccontextmanager
async def a_gateway(
    start_gateway: Callable[..., GatewayThread],
    path: Path,
    *routes: dict[str, Any],
    backend: Upstream,
) -> AsyncIterator[Silent]:
    settings = make_settings(
        flags={"store": f"file:{path}"},
        components={"invoices": {"entities": ["invoice"]}},
        legacy=[
            route_settings(backend.url, 2.0, **(OTHER if number else {}), **route)
            for number, route in enumerate(routes)
        ],
    )
    gateway = start_gateway(settings)
    async with operator(gateway.port) as admin:
        yield Silent(gateway, backend, admin, path)


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with upstream() as one:
        one.says(listed(order("A")))
        yield one


@pytest.fixture
async def silent(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path, backend: Upstream
) -> AsyncIterator[Silent]:
    async with a_gateway(start_gateway, tmp_path / "flags.json", NOT_SHARED, backend=backend) as one:
        yield one


@pytest.mark.parametrize("stage", ["live", "rampdown", "complete"])
async def test_a_flag_further_than_shadow_is_not_made(silent: Silent, stage: str) -> None:
    answer = await silent.admin.send("PUT", ORDERS, {"reason": "x", "stage": stage}, If_None_Match="*")

    problem = refused(answer, 409, "/stage")
    assert "no source of events" in problem["detail"]
    assert 'events = "poll"' in problem["detail"]
    assert 'events = "external"' in problem["detail"]
    assert (problem["from"], problem["to"], problem["allowed"]) == (None, stage, ["off", "shadow"])
    assert (await silent.admin.get(ORDERS)).status_code == 404


async def test_it_goes_to_shadow_and_back_and_no_further(silent: Silent) -> None:
    await silent.admin.make()
    assert (await silent.admin.patch(stage="shadow", percentage=50)).status_code == 200

    patched = await silent.admin.patch(stage="live")
    replaced = await silent.admin.send("PUT", ORDERS, {"reason": "x", "stage": "live"}, If_Match="*")

    for answer in (patched, replaced):
        problem = refused(answer, 409, "/stage")
        assert (problem["from"], problem["to"]) == ("shadow", "live")
    assert (await silent.admin.patch(stage="off")).status_code == 200
    assert await silent.mode() == ("polling", "STATIC", "no_source", "off")


async def test_with_and_without_a_flag_it_is_polled(silent: Silent) -> None:
    without = await silent.mode()
    stream = await silent.client.get(EVENTS, {"component": "orders"})
    legacy = await silent.client.get(PATH)
    poll = await silent.client.get(POLL, {"component": "orders"})

    assert without == ("polling", "STATIC", "no_source", None)
    assert (stream.status, stream.headers["Fetch-Mode"]) == (204, "polling")
    assert stream.headers["Fetch-Mode-Reason"] == '"orders";reason=STATIC;cause=no_source'
    assert (legacy.status, legacy.headers["Fetch-Mode"]) == (200, "polling")
    assert (poll.status, poll.json["fetchMode"]) == (200, "polling")
    assert await silent.mode("invoices") == ("streaming", "STATIC", None, None)


async def test_the_kill_switch_is_said_before_it(silent: Silent) -> None:
    await silent.admin.post(KILL_ALL)

    assert await silent.mode() == ("polling", "DISABLED", "kill_switch", None)


async def test_a_component_without_routes_has_whoever_publishes(silent: Silent) -> None:
    await silent.admin.make(INVOICES, stage="live", percentage=100)

    assert await silent.mode("invoices") == ("streaming", "SPLIT", None, "live")


@pytest.mark.parametrize(
    ("routes", "has_source"),
    [
        ([SHARED], True),
        ([{"shared": True, "events": "external"}], True),
        ([{"shared": False, "events": "external"}], True),
        ([NOT_SHARED], False),
        ([{"shared": True, "events": "none"}], False),
        ([NOT_SHARED, NOT_SHARED], False),
        ([NOT_SHARED, SHARED], True),
    ],
)
async def test_one_route_with_events_is_enough(
    start_gateway: Any, tmp_path: Path, backend: Upstream, routes: list[dict[str, Any]], has_source: bool
) -> None:
    async with a_gateway(start_gateway, tmp_path / "flags.json", *routes, backend=backend) as gateway:
        answer = await gateway.admin.send("PUT", ORDERS, {"reason": "x", "stage": "live"}, If_None_Match="*")
        cause = (await gateway.mode())[2]

    assert answer.status_code == (201 if has_source else 409)
    assert cause == (None if has_source else "no_source")


@pytest.mark.parametrize("stage", ["live", "rampdown", "complete"])
async def test_a_file_that_says_more_already_is_not_obeyed_and_can_be_mended(
    start_gateway: Any, tmp_path: Path, backend: Upstream, stage: str
) -> None:
    path = tmp_path / "flags.json"
    write_flags(path, {"orders": {"stage": stage, "percentage": 50, "sunset": "2027-01-31T00:00:00Z"}})
    async with a_gateway(start_gateway, path, NOT_SHARED, backend=backend) as gateway:
        legacy = await gateway.client.get(PATH)
        poll = await gateway.client.get(POLL, {"component": "orders"})
        told = await gateway.mode()
        keyless = await gateway.client.get(FETCH_MODE, {"component": "orders"})
        further = await gateway.admin.patch(percentage=100)
        killed = await gateway.admin.post(f"{ORDERS}/kill")
        unkilled = await gateway.admin.post(f"{ORDERS}/unkill")
        tuned = await gateway.admin.patch(guard={"dryRun": False}, percentage=25)
        back = await gateway.admin.patch(stage="shadow")
        rolled_back = await gateway.admin.post(f"{ORDERS}/rollback")

    assert told == ("polling", "STATIC", "no_source", stage)
    for answer in (legacy, poll):
        assert (answer.status, answer.headers["Fetch-Mode"]) == (200, "polling")
        assert not answer.headers.keys() & {"Deprecation", "Sunset"}
    assert "Set-Cookie" not in keyless.headers
    refused(further, 409, "/stage")
    assert [answer.status_code for answer in (killed, unkilled, tuned, back)] == [200] * 4
    problem = refused(rolled_back, 409, "/stage")
    assert (problem["from"], problem["to"]) == ("shadow", stage)


async def test_the_guard_promotes_none(start_gateway: Any, tmp_path: Path, backend: Upstream) -> None:
    path = tmp_path / "flags.json"
    write_flags(path, {"orders": {"stage": "live", "percentage": 5}})
    async with a_gateway(start_gateway, path, NOT_SHARED, backend=backend) as gateway:
        store = gateway.gateway.parts.flags.store
        flag = gateway.gateway.call(store.snapshot).get("orders")
        assert flag is not None
        further = {"percentage": 25}
        change = store.change(
            "orders", further, expected_revision=flag.revision, who="guard", reason="promotion"
        )
        with pytest.raises(ForbiddenMove, match="no source of events"):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(change, gateway.gateway.loop))


async def test_the_command_says_why(silent: Silent) -> None:
    arguments = (
        "orders",
        "--stage",
        "live",
        "--reason",
        "x",
        "--url",
        f"http://127.0.0.1:{silent.gateway.port}",
    )
    code, _, err = await run("flags", "set", *arguments)

    assert code == REFUSED
    assert "orders has no source of events, so it can't go to live" in err


async def test_explain_says_what_lacks(silent: Silent) -> None:
    answer = await silent.admin.get("/api/v1/admin/explain?client=c&component=orders")

    (decision,) = answer.json()["decisions"]
    assert (decision["mode"], decision["cause"]) == ("polling", "no_source")
    assert decision["why"].startswith("Nothing makes its events: none of its legacy routes")
