"""What the guard is told and can't use: settings, reports on nobody's streams, summaries of other nodes."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from flags.guard.callers import SAMPLED, Side
from gateway.migration.summary_values import SummaryValues, Told
from tests.support.admin import ORDERS, operator, refused
from tests.support.api import Client, eventually
from tests.support.cluster import flags_in, toml
from tests.support.command import run
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.rollout import GuardedRollout, all_of, guarded_rollout, opened
from tests.support.upstream import Upstream

COMPONENTS = {"orders": {"entities": ["order"]}}

BAD_SETTINGS = [
    ({"confidence": 0.49}, "/guard/confidence"),
    ({"confidence": 1}, "/guard/confidence"),
    ({"confidence": "0.95"}, "/guard/confidence"),
    ({"margins": {"errorRate": 0}}, "/guard/margins/errorRate"),
    ({"margins": {"pushLagP99Ms": 1.01}}, "/guard/margins/pushLagP99Ms"),
    ({"margins": {"fallbackRate": -0.1}}, "/guard/margins/fallbackRate"),
    ({"margins": {"consistency": 0.1}}, "/guard/margins/consistency"),
    ({"margins": {"firstEventSuccess": "1"}}, "/guard/margins/firstEventSuccess"),
    ({"freshMs": 0}, "/guard/freshMs"),
    ({"trustTimestamps": "yes"}, "/guard/trustTimestamps"),
    ({"errorRate": {"promote": 0.1, "fail": 0.05}}, "/guard/errorRate"),
    ({"fallbackRate": {"promote": 0.06, "fail": 0.05}}, "/guard/fallbackRate"),
    ({"firstEventSuccess": {"promote": 0.9, "fail": 0.95}}, "/guard/firstEventSuccess"),
    ({"pushLagP99Ms": {"promote": 6000, "fail": 5000}}, "/guard/pushLagP99Ms"),
]


async def test_settings_out_of_range_and_thresholds_that_contradict_one_another_are_pointed_at(
    flagged: GatewayThread,
) -> None:
    async with operator(flagged.port) as admin:
        made = (await admin.make(stage="live")).json()
        for guard, place in BAD_SETTINGS:
            refused(await admin.patch(guard=guard), 422, place)
        both = {"confidence": 2, "margins": {"errorRate": 7}}
        refused(await admin.patch(guard=both), 422, "/guard/confidence", "/guard/margins/errorRate")
        assert (await admin.get(ORDERS)).json() == made


@pytest.mark.parametrize(("guard", "place"), [BAD_SETTINGS[0], BAD_SETTINGS[3], BAD_SETTINGS[10]])
async def test_a_flags_file_with_such_settings_is_pointed_at_before_anything_starts(
    tmp_path: Path, guard: dict[str, Any], place: str
) -> None:
    flags = {"version": 1, "flags": {"orders": {"stage": "live", "guard": guard}}}
    (tmp_path / "flags.json").write_bytes(orjson.dumps(flags))
    file = tmp_path / "tidegate.toml"
    file.write_text(toml(flags={"store": f"file:{tmp_path / 'flags.json'}"}))
    code, out, err = await run("serve", "--config", str(file), "--port", "0")
    assert (code, out) == (2, "")
    assert place in err


@pytest.fixture
async def rollout(
    start_gateway: Callable[..., GatewayThread], backend: Upstream, flags_file: Path
) -> AsyncIterator[GuardedRollout]:
    async with guarded_rollout(start_gateway, backend, flags_file, authenticated=False) as one:
        yield one


async def test_reports_on_ten_thousand_invented_streams_are_counted_and_bounded(
    rollout: GuardedRollout,
) -> None:
    """By two hundred who each may send fifty, beside people who fare well."""
    await rollout.go_live(100)
    people = rollout.people(20, 100, streaming=True)
    liars = [rollout.caller("liar", f"203.0.{113 + number // 250}.{number % 250}") for number in range(200)]
    migration = rollout.gateway.parts.migration
    async with opened(rollout, people):

        async def report(second: int) -> None:
            await all_of(
                liar.report(
                    clientId=f"made-up-{second}-{number}", attempt=f"a{second}-{number}", fallback="error"
                )
                for number, liar in enumerate(liars)
            )

        await rollout.seconds(50, report)
        await rollout.is_as_it_was(100)
        answer = await rollout.verdict()
    assert answer["metrics"]["fallbackRate"]["value"] == 0
    assert answer["metrics"]["fallbackRate"]["samples"] == len(people)
    assert rollout.gateway.call(lambda: migration.telemetry.unmatched) == 10_000
    assert rollout.gateway.call(lambda: migration.telemetry.remembered) == len(people)
    assert rollout.gateway.call(lambda: len(migration.windows["orders"].callers)) == len(people)
    told = (await rollout.admin.get(f"{ORDERS}/telemetry")).json()
    assert told["fallbacks"] == {"error": 10_000}


async def test_of_callers_without_number_a_sample_is_kept(rollout: GuardedRollout) -> None:
    await rollout.go_live(100)
    window = rollout.gateway.parts.migration.windows["orders"]
    crowd = [rollout.caller(f"c{number}", f"10.0.{number // 250}.{number % 250}") for number in range(2500)]
    await all_of(caller.poll() for caller in crowd)
    kept = rollout.gateway.call(lambda: len(window.callers))
    assert kept <= SAMPLED
    assert rollout.gateway.call(lambda: window.callers.levels[Side.TREATED]) == 1
    answer = await rollout.verdict()
    assert answer["metrics"]["errorRate"]["samples"] == kept


@pytest.fixture
def nodes(start_gateway: Callable[..., GatewayThread], log_url: str) -> list[GatewayThread]:
    """Two nodes with one log."""
    settings = make_settings(log={"url": log_url}, flags={"store": flags_in(log_url)}, components=COMPONENTS)
    return [start_gateway(settings) for _ in range(2)]


def _packed(value: Any) -> bytes:
    return zlib.compress(orjson.dumps(value))


async def test_summaries_that_can_not_be_used_are_left_out_with_a_warning_and_a_line(
    nodes: list[GatewayThread], caplog: pytest.LogCaptureFixture
) -> None:
    one = nodes[0]
    leases = one.parts.stored.leases
    assert leases is not None
    store = leases.store
    values = SummaryValues(store)
    bad = {
        "late": "clock",
        "early": "clock",
        "other": "version",
        "garbage": "unreadable",
        "odd": "unreadable",
    }

    async def put() -> None:
        """What they say each second."""
        now_ms = round(time.time() * 1000)
        said = {
            "late": Told(now_ms - 3_600_000, False, {}),
            "early": Told(now_ms + 3_600_000, False, {}),
            "other": _packed({"version": 2, "at": now_ms, "ended": False, "content": {}}),
            "garbage": b"garbage",
            "odd": _packed({"version": 1, "at": now_ms, "ended": False, "content": 7}),
        }
        for name, value in said.items():
            await values.join(f"id{name}", name, now_ms)
            if isinstance(value, Told):
                await values.put(f"id{name}", value)
            else:
                await store.put(f"guard:node:id{name}", value)

    async with operator(one.port) as admin:
        await admin.make(stage="live", percentage=50)

        async def left_out() -> bool:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(put(), one.loop))
            answer = (await admin.get(f"{ORDERS}/guard?nodes=true")).json()
            found = {node["name"]: node["leftOut"] for node in answer["nodes"] if "leftOut" in node}
            return found == bad and not bad.keys() & answer["byNode"].keys()

        await eventually(left_out, "those that can't be used are left out, and named")
    ready = await Client(one.port).get("/readyz")
    assert ready.status == 200
    warnings = ready.json["warnings"]
    for name in bad:
        assert sum(f"The figures of {name} are left out" in warning for warning in warnings) == 1
    lines = [record for record in caplog.records if record.message == "node_summary_left_out"]
    assert {line.__dict__["fields"]["node"] for line in lines} == set(bad)


async def test_a_tally_that_is_none_is_not_in_the_sum_and_stops_no_verdict(
    nodes: list[GatewayThread], caplog: pytest.LogCaptureFixture
) -> None:
    """The summary can be read, but for what it says of one component."""
    one = nodes[0]
    leases = one.parts.stored.leases
    assert leases is not None
    values = SummaryValues(leases.store)

    async def put() -> None:
        at_ms = round(time.time() * 1000)
        await values.join("idbad", "bad", at_ms)
        content = {"tallies": {"orders": {"whole": "many"}}, "judged": {"orders": {"rollout": 7}}}
        await values.put("idbad", Told(at_ms, False, content))

    async with operator(one.port) as admin:
        await admin.make(stage="live", percentage=50)

        async def judged() -> bool:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(put(), one.loop))
            answer = await admin.get(f"{ORDERS}/guard?nodes=true")
            assert answer.status_code == 200
            told = answer.json()
            nodes = {node["name"]: node.get("leftOut") for node in told["nodes"]}
            return nodes.get("bad") == "unreadable" and "bad" not in told["byNode"]

        await eventually(judged, "it is named as one that is left out")
    assert any(
        "What bad says to the guard" in w for w in (await Client(one.port).get("/readyz")).json["warnings"]
    )
