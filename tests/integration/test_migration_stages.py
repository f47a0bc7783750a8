"""What a caller sees in each stage of a component's migration (docs/protocol.md, section 8)."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.api import EVENTS, POLL, Client, assert_problem, event, numbers
from tests.support.flags import write_flags
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH
from tests.support.migration import FETCH_MODE, ORDERS, Migration, a_migration

IS_STATE = 'rel="alternate"; type="application/json"'
STAGES_OF_POLLING = ("off", "shadow")


@pytest.fixture
async def migration(start_gateway: Callable[..., GatewayThread], tmp_path: Path) -> AsyncIterator[Migration]:
    async with a_migration(start_gateway, tmp_path) as one:
        yield one


async def test_without_flags_everything_streams_and_no_file_is_made(migration: Migration) -> None:
    answer = await migration.fetch_mode()
    poll = await migration.client.get(POLL, ORDERS)
    legacy = await migration.client.get(PATH)
    preference = await migration.client.get("/api/v1/sync/preference", {"clientId": "c"})

    assert answer == {
        "component": "orders",
        "mode": "streaming",
        "stage": None,
        "variant": "on",
        "reason": "STATIC",
        "cause": None,
        "revision": 0,
        "keyFrom": None,
        "streamUrl": "/api/v1/sync/events?entity=order&component=orders",
        "pollUrl": "/api/v1/sync/poll?entity=order&component=orders",
        "stateUrl": "/api/v1/sync/state?entity=order&component=orders",
        "pollIntervalMs": 5000,
    }
    assert [poll.headers["Fetch-Mode"], legacy.headers["Fetch-Mode"]] == ["streaming", "streaming"]
    assert preference.json == {"delivery": "auto"}
    assert list(migration.path.parent.iterdir()) == []


@pytest.mark.parametrize("stage", STAGES_OF_POLLING)
async def test_before_live_there_is_no_stream_and_polling_is_answered(
    migration: Migration, stage: str
) -> None:
    await migration.change(stage=stage, pollIntervalMs=700)

    stream = await migration.client.get(EVENTS, ORDERS)
    poll = await migration.client.get(POLL, ORDERS)
    legacy = await migration.client.get(PATH)
    unchanged = await migration.client.get(PATH, headers=[("If-None-Match", '"v1"')])

    assert (stream.status, stream.headers["Fetch-Mode"], stream.body) == (204, "polling", b"")
    assert (poll.json["fetchMode"], poll.json["pollIntervalMs"]) == ("polling", 700)
    assert (legacy.status, unchanged.status) == (200, 304)
    for answer in (poll, legacy, unchanged):
        assert answer.headers["Fetch-Mode"] == "polling"
        assert "Deprecation" not in answer.headers
        assert 'rel="alternate"' in answer.headers["Link"]


async def test_a_caller_that_knows_nothing_of_components_is_sent_to_polling_too(migration: Migration) -> None:
    await migration.change(stage="shadow")

    assert (await migration.client.get(EVENTS, {"entity": "order"})).status == 204
    assert (await migration.client.poll(entity="order"))["fetchMode"] == "polling"


async def test_a_stream_of_two_components_carries_the_one_that_streams(migration: Migration) -> None:
    await migration.change(stage="shadow")

    async with migration.client.stream() as stream:
        connected = await stream.connected()
        await migration.client.publish(
            event(1), event(2, entityType="invoice"), event(3, entityType="note"), event(4)
        )
        carried = await stream.take(2)

    assert connected.data["modes"] == {"billing": "streaming", "orders": "polling"}
    assert numbers(carried) == [2, 3]


async def test_a_poll_gives_what_no_stream_carries(migration: Migration) -> None:
    await migration.change(stage="shadow")
    cursor = await migration.client.now()
    await migration.client.publish(event(1), event(2, entityType="invoice"))

    assert numbers((await migration.client.poll(cursor=cursor))["events"]) == [1, 2]


async def test_a_type_of_two_components_is_carried_while_one_of_them_streams(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    write_flags(tmp_path / "flags.json", {"orders": {"stage": "off"}})
    settings = make_settings(
        flags={"store": f"file:{tmp_path / 'flags.json'}"},
        components={"orders": {"entities": ["order"]}, "dashboard": {"entities": ["order"]}},
    )
    client = Client(start_gateway(settings).port)

    async with client.stream({"entity": "order"}) as stream:
        connected = await stream.connected()
        await client.publish(event(1))
        assert numbers(await stream.take(1)) == [1]

    assert connected.data["modes"] == {"dashboard": "streaming", "orders": "polling"}
    assert (await client.get(EVENTS, ORDERS)).status == 204


async def test_in_live_the_cohort_streams_and_the_others_poll(migration: Migration) -> None:
    await migration.change(stage="live", percentage=50)

    modes = {f"c{n}": (await migration.fetch_mode(clientId=f"c{n}"))["mode"] for n in range(40)}
    chosen = {mode: client for client, mode in modes.items()}
    for mode, status in (("polling", 204), ("streaming", 200)):
        who = ("Tidegate-Client-Id", chosen[mode])
        poll = await migration.client.get(POLL, ORDERS, headers=[who])
        legacy = await migration.client.get(PATH, headers=[who])
        assert (poll.headers["Fetch-Mode"], legacy.headers["Fetch-Mode"]) == (mode, mode)
        if status == 204:
            assert (await migration.client.get(EVENTS, ORDERS, headers=[who])).status == status
        else:
            async with migration.client.stream(ORDERS, headers=[who]) as stream:
                assert (await stream.connected()).data["modes"] == {"orders": "streaming"}


@pytest.mark.parametrize("path", [f"{POLL}?component=orders", PATH, f"{PATH}?page=1"])
async def test_the_link_of_a_polled_answer_opens_the_stream_for_the_same_caller(
    migration: Migration, path: str
) -> None:
    await migration.change(stage="live", percentage=100)

    answer = await migration.client.get(path, headers=[("Tidegate-Client-Id", "a b&c")])
    link = answer.headers["Link"].removeprefix("<").partition(">")[0]

    async with migration.client.stream(path=link) as stream:
        connected = await stream.connected()
    assert connected.data["modes"] == {"orders": "streaming"}
    assert connected.data["recovered"] is True


async def test_a_session_cookie_counts_before_the_client_id(migration: Migration) -> None:
    await migration.change(stage="live", percentage=50)
    modes = {f"c{n}": (await migration.fetch_mode(clientId=f"c{n}"))["mode"] for n in range(40)}
    chosen = {mode: client for client, mode in modes.items()}

    answer = await migration.client.get(
        FETCH_MODE,
        [*ORDERS, ("clientId", chosen["polling"])],
        headers=[("Cookie", f"other=1; tidegate_session={chosen['streaming']}")],
    )

    assert answer.json["mode"] == "streaming"


async def test_targeting_knows_the_clients_version(migration: Migration) -> None:
    rule = {"attribute": "clientVersion", "operator": "lt", "value": "2.0.0", "mode": "polling"}
    await migration.change(stage="live", percentage=100, targeting=[rule])

    old = await migration.client.get(
        FETCH_MODE, [*ORDERS, ("clientId", "c")], headers=[("Tidegate-Client", "shop/1.9.3")]
    )
    new = await migration.fetch_mode(clientId="c", clientVersion="2.1.0")

    assert (old.json["mode"], old.json["reason"]) == ("polling", "TARGETING_MATCH")
    assert (new["mode"], new["reason"]) == ("streaming", "SPLIT")


async def test_in_rampdown_all_stream_and_polling_says_when_it_ends(migration: Migration) -> None:
    await migration.change(stage="rampdown", sunset="2027-03-01T00:00:00Z")
    revision = migration.gateway.call(
        lambda: migration.gateway.parts.flags.store.revisions("orders")
    ).entries[0]

    poll = await migration.client.get(POLL, ORDERS)
    legacy = await migration.client.get(PATH)
    unchanged = await migration.client.get(PATH, headers=[("If-None-Match", '"v1"')])

    assert (await migration.fetch_mode())["mode"] == "streaming"
    assert (poll.status, legacy.status, unchanged.status) == (200, 200, 304)
    for answer in (poll, legacy, unchanged):
        assert answer.headers["Fetch-Mode"] == "streaming"
        assert answer.headers["Sunset"] == "Mon, 01 Mar 2027 00:00:00 GMT"
        since = answer.headers["Deprecation"]
        assert since.startswith("@")
        assert revision.when.startswith(_utc(int(since[1:])))


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def test_in_complete_polling_is_gone_and_says_what_comes_after_it(migration: Migration) -> None:
    await migration.change(stage="complete")

    poll = await migration.client.get(POLL, ORDERS)
    legacy = await migration.client.get(PATH)
    with_slash = await migration.client.get(f"{PATH}/")

    for answer in (poll, legacy, with_slash):
        assert_problem(answer, 410)
        assert 'rel="successor-version"' in answer.headers["Link"]
        assert "/api/v1/sync/events?" in answer.headers["Link"]
        assert answer.headers["Link"].endswith(f"<{answer.json['stateUrl']}>; {IS_STATE}")
    assert poll.json["stateUrl"] == "/api/v1/sync/state?component=orders"
    assert legacy.json["stateUrl"] == "/api/v1/sync/state?entity=order&component=orders"
    assert (await migration.client.get(POLL, {"component": "billing"})).status == 200
    assert (await migration.client.post(event(1))).status == 201


async def test_complete_keeps_the_state(migration: Migration) -> None:
    await migration.change(stage="complete")
    retired = await migration.client.get(PATH)
    poll = await migration.client.get(POLL, ORDERS)
    told = await migration.fetch_mode()

    for url in (retired.json["stateUrl"], poll.json["stateUrl"], told["stateUrl"]):
        state = await migration.client.request("GET", url)
        assert state.status == 200, state.body
        assert [item["entityId"] for item in state.json["items"]] == ["A"]


async def test_a_retired_poll_of_everything_names_the_state_of_its_components(migration: Migration) -> None:
    await migration.change(stage="complete")
    await migration.change("billing", stage="complete")

    answer = await migration.client.get(POLL, {"clientId": "c"})

    assert answer.json["stateUrl"] == "/api/v1/sync/state?component=billing&component=orders&clientId=c"
    assert answer.headers["Link"].startswith('</api/v1/sync/events?clientId=c>; rel="successor-version"')


async def test_fetch_mode_names_the_state(migration: Migration) -> None:
    answer = await migration.client.get(FETCH_MODE, [*ORDERS, ("clientId", "c")])

    assert answer.json["stateUrl"] == "/api/v1/sync/state?entity=order&component=orders&clientId=c"
    assert answer.headers["Link"] == f"<{answer.json['stateUrl']}>; {IS_STATE}"


@pytest.mark.parametrize("stage", ["live", "rampdown", "complete"])
async def test_a_killed_component_polls_in_every_stage(migration: Migration, stage: str) -> None:
    await migration.change(stage=stage, percentage=100, killed=True)

    answer = await migration.fetch_mode(clientId="c")
    assert (answer["mode"], answer["reason"], answer["cause"]) == ("polling", "DISABLED", "kill_switch")
    assert (await migration.client.get(EVENTS, ORDERS)).status == 204
    assert (await migration.client.get(POLL, ORDERS)).status == 200
    assert (await migration.client.get(PATH)).status == 200


async def test_the_switch_for_everything_kills_what_has_no_flag(migration: Migration) -> None:
    await migration.kill_all(True)

    assert (await migration.client.get(EVENTS, {"entity": "invoice"})).status == 204
    assert (await migration.client.get(PATH)).headers["Fetch-Mode"] == "polling"

    await migration.kill_all(False)

    assert (await migration.client.get(PATH)).headers["Fetch-Mode"] == "streaming"


@pytest.mark.parametrize("query", [[], [("component", "")], [("component", "a b")], ORDERS * 2])
async def test_fetch_mode_wants_one_component(migration: Migration, query: list[tuple[str, str]]) -> None:
    response = await migration.client.get(FETCH_MODE, query)

    assert_problem(response, 400)
    assert response.json["errors"][0]["parameter"] == "component"


@pytest.mark.parametrize("client", ["c" * 257, "a\nb"])
async def test_a_client_id_that_is_none_is_refused(migration: Migration, client: str) -> None:
    response = await migration.client.get(FETCH_MODE, [*ORDERS, ("clientId", client)])

    assert_problem(response, 400)
    assert response.json["errors"][0]["parameter"] == "clientId"
