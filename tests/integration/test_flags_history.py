"""Flags that were changed very often, and callers that chose very often: what that costs and is answered."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from flags.store.choice_days import DAY_SECONDS, MOST_A_DAY
from flags.store.document import render
from flags.store.ledger import Ledger, changed
from flags.store.preferences import FilePreferences
from flags.store.retention import KEPT_REVISIONS
from flags.store.revisions import attribution
from flags.store.shared_store import KEY
from tests.integration.test_cluster_flags import flags_in
from tests.support.admin import FLAGS, KILL_ALL, ORDERS, operator, refused
from tests.support.api import Client, eventually
from tests.support.cluster import shared_log
from tests.support.flags import NOW, NOW_MS, Told, many_changes
from tests.support.gateway import GatewayThread, make_settings

CHANGES = 100_000
COMPONENTS = {"orders": {"entities": ["order"]}}


@pytest.fixture(params=["file", "postgres", "redis"])
async def much_changed(
    request: pytest.FixtureRequest, start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> AsyncIterator[GatewayThread]:
    """A gateway whose flags were changed 100,000 times by a release that kept every revision."""
    document = orjson.dumps(many_changes(CHANGES))
    if request.param == "file":
        path = tmp_path / "flags.json"
        path.write_bytes(document)
        yield start_gateway(make_settings(flags={"store": f"file:{path}"}, components=COMPONENTS))
        assert path.stat().st_size < 100_000
        return
    async with shared_log(request.param) as url:
        gateway = start_gateway(
            make_settings(log={"url": url}, flags={"store": flags_in(url)}, components=COMPONENTS)
        )
        shared = gateway.parts.stored.shared
        assert shared is not None
        putting = asyncio.run_coroutine_threadsafe(shared.put(KEY, document), gateway.loop)
        await asyncio.wrap_future(putting)
        yield gateway
        getting = asyncio.run_coroutine_threadsafe(shared.get(KEY), gateway.loop)
        entry = await asyncio.wrap_future(getting)
        assert entry is not None
        assert len(entry.value) < 100_000
        await asyncio.to_thread(gateway.stop)


async def test_a_kill_after_a_hundred_thousand_changes_reaches_the_streams(
    much_changed: GatewayThread,
) -> None:
    client = Client(much_changed.port)
    async with operator(much_changed.port) as admin:

        async def is_there() -> bool:
            return (await admin.get(ORDERS)).status_code == 200

        await eventually(is_there, "the flag is known")
        assert (await admin.patch(percentage=100)).json()["revision"] == CHANGES + 1
        async with client.stream({"component": "orders", "clientId": "c"}) as stream:
            assert (await stream.connected()).data["modes"] == {"orders": "streaming"}
            await admin.post(f"{ORDERS}/kill")
            assert (await stream.until("fetch-mode")).data["mode"] == "polling"

        answer = (await admin.get(f"{ORDERS}/revisions")).json()
        assert (answer["total"], answer["heldFrom"]) == (CHANGES + 2, CHANGES + 3 - KEPT_REVISIONS)
        assert [entry["revision"] for entry in answer["revisions"]][:1] == [answer["heldFrom"]]
        assert len(answer["revisions"]) == KEPT_REVISIONS
        problem = refused(await admin.post(f"{ORDERS}/rollback", toRevision=5), 404)
        assert f"the oldest revision to go back to is {answer['heldFrom'] - 1}" in problem["detail"]
        response = await admin.send("PATCH", ORDERS, {"percentage": 1, "reason": "r"}, If_Match='"5"')
        stale = refused(response, 412)
        assert [entry["revision"] for entry in stale["changes"]] == [
            entry["revision"] for entry in answer["revisions"]
        ]


async def test_flags_that_are_too_large_are_422_and_a_kill_is_made(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    values = ["u" * 247] * 1000
    targeting = [{"attribute": "user", "operator": "in", "values": values, "mode": "polling"}] * 4
    document = {name: {"stage": "live", "targeting": targeting} for name in ("a", "b", "c", "d", "orders")}
    path = tmp_path / "flags.json"
    path.write_bytes(orjson.dumps({"version": 1, "flags": document}))
    gateway = start_gateway(make_settings(flags={"store": f"file:{path}"}, components=COMPONENTS))
    async with operator(gateway.port) as admin:
        problem = refused(
            await admin.send("PUT", f"{FLAGS}/e?force=true", {"targeting": targeting[:1], "reason": "r"}),
            422,
            "",
        )
        assert "would make all flags take" in problem["errors"][0]["detail"]
        assert (await admin.post(f"{ORDERS}/kill")).json()["killed"]
        assert (await admin.post(KILL_ALL)).json() == {"killAll": True}


async def test_where_too_many_chose_today_a_new_choice_waits_and_an_old_one_is_changed(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    kept = tmp_path / "flags.preferences.db"
    preferences = FilePreferences(kept, tell=Told())
    await preferences.start()
    await preferences.put('["client", "", "c0"]', "polling")
    await preferences.close()
    days = [time.time_ns() // (DAY_SECONDS * 10**9) + offset for offset in (0, 1)]
    with closing(sqlite3.connect(kept)) as connection, connection:
        connection.executemany(
            "insert into preference values (?, 'polling', ?, ?)",
            [(f"{day} {number}", day * 10_000 + number, day) for day in days for number in range(MOST_A_DAY)],
        )
    settings = make_settings(flags={"store": f"file:{tmp_path}/flags.json"}, components=COMPONENTS)
    gateway = start_gateway(settings)
    async with operator(gateway.port) as admin:

        def choose(client: str):
            path = f"/api/v1/sync/preference?clientId={client}"
            return admin.send("PUT", path, {"delivery": "streaming"})

        response = await choose("new")
        problem = refused(response, 503)
        assert problem["type"].endswith("preference-not-kept")
        assert 1 <= int(response.headers["Retry-After"]) <= DAY_SECONDS
        assert (await choose("c0")).json() == {"delivery": "streaming"}


async def test_deprecation_is_when_the_rampdown_began_also_where_that_revision_is_let_go_of(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    began, later = (attribution("ann", "because", when) for when in (NOW, "2025-01-01T00:00:00.000Z"))
    fields: dict[str, object] = {"stage": "rampdown"}
    ledger = changed(Ledger(), "orders", fields, expected_revision=0, whole=True, by=began)
    for ratio in range(1, KEPT_REVISIONS + 10):
        fields = {"checkRatio": ratio}
        ledger = changed(ledger, "orders", fields, expected_revision=None, whole=False, by=later)
    path = tmp_path / "flags.json"
    path.write_bytes(render(ledger))
    gateway = start_gateway(make_settings(flags={"store": f"file:{path}"}, components=COMPONENTS))
    async with operator(gateway.port) as admin:
        answer = await admin.get("/api/v1/sync/poll?component=orders")
        assert answer.headers["Deprecation"] == f"@{NOW_MS // 1000}"
