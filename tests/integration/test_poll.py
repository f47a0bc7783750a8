"""`GET /api/v1/sync/poll` and `/history` (protocol, section 5), and one cursor for all (section 2)."""

import asyncio
import re

import pytest

from tests.support.api import HISTORY, POLL, Client, assert_problem, event, eventually, numbers
from tests.support.gateway import make_settings

LINK = re.compile(r'<(/api/v1/sync/events\?[^>]+)>; rel="alternate"; type="text/event-stream"\Z')


async def publish_until_seen(client, *events):
    """Publishes, and returns once streams have it: what a poll waits for has then had its turn."""
    async with client.stream() as witness:
        await witness.connected()
        ids = await client.publish(*events)
        await witness.take(len(events))
    return ids


async def test_without_a_cursor_a_poll_starts_at_now(client):
    [cursor] = await client.publish(event(1))
    response = await client.get(POLL)

    assert response.json == {
        "events": [],
        "cursor": cursor,
        "more": False,
        "fetchMode": response.headers["Fetch-Mode"],
        "pollIntervalMs": 5000,
    }
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["ETag"] == f'"{cursor}"'
    assert response.headers["Cache-Control"] == "private, no-cache"


async def test_a_poll_continues_after_its_cursor_as_the_stream_would_have(client):
    async with client.stream() as stream:
        start = (await stream.connected()).id
        ids = await client.publish(*(event(n) for n in range(3)))
        streamed = await stream.take(3)
    answer = await client.poll(cursor=start)

    assert answer["events"] == streamed
    assert answer["cursor"] == ids[-1]
    assert (await client.poll(cursor=answer["cursor"]))["events"] == []


async def test_the_limit_bounds_an_answer_and_more_says_that_there_is_more(client):
    await client.publish(*(event(n) for n in range(5)))
    cursor, pages = "earliest", []
    while not pages or pages[-1]["more"]:
        pages.append(await client.poll(cursor=cursor, limit=2))
        cursor = pages[-1]["cursor"]

    assert [numbers(page["events"]) for page in pages] == [[0, 1], [2, 3], [4]]
    assert [page["more"] for page in pages] == [True, True, False]


async def test_more_is_said_of_matching_events_only(client):
    await client.publish(event(0), event(1), event(2, of="ORDER-002"))
    answer = await client.poll(cursor="earliest", limit=2, entity="order:ORDER-001")

    assert (numbers(answer["events"]), answer["more"]) == ([0, 1], False)


async def test_the_default_limit_is_a_hundred_and_the_highest_a_thousand(client):
    await client.publish(*(event(n) for n in range(1000)))
    await client.publish(event(1000))

    assert len((await client.poll(cursor="earliest"))["events"]) == 100
    assert len((await client.poll(cursor="earliest", limit=1000))["events"]) == 1000
    assert len((await client.get(HISTORY)).json["events"]) == 100


async def test_an_etag_that_nothing_follows_is_304(client):
    await client.publish(event(1))
    etag = (await client.get(POLL)).headers["ETag"]
    response = await client.get(POLL, headers=[("If-None-Match", etag)])

    assert (response.status, response.headers["ETag"], response.body) == (304, etag, b"")
    assert response.headers["Fetch-Mode"] == "streaming"
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert LINK.match(response.headers["Link"])


async def test_a_condition_of_more_than_a_hundred_etags_is_400(client):
    etag = (await client.get(POLL)).headers["ETag"]
    most = ",".join(['"another"'] * 99 + [etag])
    within = await client.get(POLL, headers=[("If-None-Match", most)])
    beyond = await client.get(POLL, headers=[("If-None-Match", most), ("If-None-Match", '"one more"')])

    assert within.status == 304
    assert_problem(beyond, 400)
    assert [error["parameter"] for error in beyond.json["errors"]] == ["If-None-Match"]


async def test_one_of_several_etags_is_enough_for_a_304(client):
    etag = (await client.get(POLL)).headers["ETag"]
    response = await client.get(POLL, headers=[("If-None-Match", f'"another", {etag}')])

    assert (response.status, response.headers["ETag"]) == (304, etag)


@pytest.mark.parametrize(
    "changed",
    [
        '"C-gzip"',
        '"C;gzip"',
        '"C-br"',
        '"C--gzip"',
        '"C:zstd"',
        'W/"C"',
        'W/"C-gzip"',
        "C-gzip",
        '"x", "C-br"',
    ],
)
async def test_an_etag_that_a_compressing_server_changed_is_still_the_cursor(client, changed):
    await client.publish(event(1))
    etag = (await client.get(POLL)).headers["ETag"]
    given = [("If-None-Match", changed.replace("C", etag.strip('"')))]
    nothing = await client.get(POLL, headers=given)
    await client.publish(event(2))
    something = await client.get(POLL, headers=given)

    assert (nothing.status, nothing.headers["ETag"]) == (304, etag)
    assert (something.status, numbers(something.json["events"])) == (200, [2])


async def test_of_several_etags_the_newest_that_can_be_honoured_counts(client):
    old, new, _ = await client.publish(event(0), event(1), event(2))
    response = await client.get(
        POLL, headers=[("If-None-Match", f'"{old}", "{new}"'), ("If-None-Match", '"x.9-9"')]
    )

    assert (response.status, numbers(response.json["events"])) == (200, [2])


async def test_an_empty_cursor_is_none_and_leaves_the_condition(client):
    etag = (await client.get(POLL)).headers["ETag"]
    given = await client.get(POLL, {"cursor": etag.strip('"')}, headers=[("If-None-Match", etag)])
    empty = await client.get(POLL, {"cursor": ""}, headers=[("If-None-Match", etag)])

    assert (given.status, empty.status) == (200, 304)


async def test_the_etag_of_a_304_moves_forward_past_what_does_not_match(client):
    etag = (await client.get(POLL)).headers["ETag"]
    [head] = await client.publish(event(1))
    moved = await client.get(POLL, {"entity": "invoice"}, headers=[("If-None-Match", etag)])

    assert (moved.status, moved.headers["ETag"]) == (304, f'"{head}"')


async def test_an_etag_that_something_follows_is_200_with_it(client):
    etag = (await client.get(POLL)).headers["ETag"]
    await client.publish(event(1))
    for tag in (etag, f"W/{etag}"):
        response = await client.get(POLL, headers=[("If-None-Match", tag)])
        assert (response.status, numbers(response.json["events"])) == (200, [1])


@pytest.mark.parametrize("query", [{"cursor": "elsewhere.1-0"}, {"lastEventId": "garbage"}])
async def test_a_poll_from_nowhere_is_reset_to_now(client, query):
    await client.publish(event(1))
    answer = await client.poll(**query)

    reason = "epoch" if "cursor" in query else "unknown"
    assert answer["reset"] == {"reason": reason}
    assert (answer["events"], answer["cursor"]) == ([], await client.now())
    assert await client.metric("tidegate_resets_total", reason=reason) == 1


async def test_an_etag_of_another_epoch_is_reset_and_not_304(client):
    response = await client.get(POLL, headers=[("If-None-Match", '"elsewhere.1-0"')])

    assert (response.status, response.json["reset"]) == (200, {"reason": "epoch"})


async def test_a_trimmed_poll_is_reset(start_gateway):
    client = Client(start_gateway(make_settings(history={"max_events": 2})).port)
    first, *_ = await publish_until_seen(client, *(event(n) for n in range(5)))
    answer = await client.poll(cursor=first)

    assert (answer["events"], answer["reset"]) == ([], {"reason": "trimmed"})
    assert numbers((await client.poll(cursor="earliest"))["events"]) == [3, 4]


async def test_a_long_poll_is_answered_by_the_first_event_that_matches(client):
    cursor = await client.now()
    waiting = asyncio.create_task(client.poll(cursor=cursor, wait=60, entity="order"))
    await client.metric_becomes("tidegate_groups", 1)
    await publish_until_seen(client, {"eventType": "notice"})
    await client.publish(event(1))
    answer = await waiting

    assert numbers(answer["events"]) == [1]


async def test_a_long_poll_that_sees_nothing_is_answered_when_its_time_is_up(client):
    etag = (await client.get(POLL)).headers["ETag"]
    empty = await client.poll(wait=0.05)
    conditional = await client.get(POLL, {"wait": "0.05"}, headers=[("If-None-Match", etag)])

    assert (empty["events"], conditional.status) == ([], 304)
    await client.metric_becomes("tidegate_groups", 0)


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=1", "wait=1"),
        ("respond-async, wait=2", "wait=2"),
        ('wait="3"', "wait=3"),
        ("wait=100", "wait=60"),
    ],
)
async def test_a_preference_to_wait_is_applied_and_said(client, prefer, applied):
    [cursor] = await client.publish(event(0))
    await client.publish(event(1))
    response = await client.get(POLL, {"cursor": cursor}, headers=[("Prefer", prefer)])

    assert response.headers["Preference-Applied"] == applied
    assert numbers(response.json["events"]) == [1]


async def test_a_preference_makes_the_poll_wait(client):
    waiting = asyncio.create_task(client.get(POLL, headers=[("Prefer", "wait=60")]))
    await client.metric_becomes("tidegate_groups", 1)
    await client.publish(event(1))

    assert numbers((await waiting).json["events"]) == [1]


async def test_a_long_poll_whose_client_goes_away_leaves_nothing_behind(start_gateway):
    client = Client(start_gateway(half_closed_seconds=0.01).port)
    waiting = asyncio.create_task(client.poll(wait=60))
    await client.metric_becomes("tidegate_groups", 1)
    waiting.cancel()
    await asyncio.wait([waiting])

    await client.metric_becomes("tidegate_groups", 0)


async def waiting_become(gateway, count):
    """Returns once that many long polls wait: no metric says so."""

    async def holds():
        return (
            gateway.call(lambda: sum(len(group.waiters) for group in gateway.parts.delivery.hub.groups))
            == count
        )

    await eventually(holds, f"{count} long polls wait")


async def test_a_long_poll_that_shares_its_selection_is_not_forgotten(start_gateway):
    gateway = start_gateway(make_settings(stream={"coalesce_ms": 1000}))
    client = Client(gateway.port)
    early = [asyncio.create_task(client.poll(wait=30, eventTypes="wanted")) for _ in range(20)]
    await waiting_become(gateway, 20)
    await client.publish({"eventType": "other"})
    await client.metric_becomes("tidegate_unflushed_events", 0)
    # The next flush is a second later: a poll that starts now starts after this event, and is woken by it.
    await client.publish(event(1, eventType="wanted"))
    late = asyncio.create_task(client.poll(wait=30, eventTypes="wanted"))
    await waiting_become(gateway, 21)
    for answer in await asyncio.gather(*early):
        assert numbers(answer["events"]) == [1]
    await client.publish(event(2, eventType="wanted"))

    assert numbers((await late)["events"]) == [2]


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("entity", "order:ORDER-001")],
        [("entity", "order"), ("eventTypes", "stage_change,payment_update"), ("filter", "n=in.(1,2,3)")],
        [("orderID", "ORDER-001"), ("filter", "n=gte.0"), ("filter", "n=lt.9"), ("component", "a&b=c")],
        [("entity", "order:Größe 1/2 & 100%"), ("entity", "order:ORDER-001")],
    ],
)
async def test_the_link_continues_the_same_selection_as_a_stream(start_gateway, query):
    settings = make_settings(entities={"order": {"id_alias": "orderID"}})
    client = Client(start_gateway(settings).port)
    await client.publish(event(1))
    polled = await client.get(POLL, [*query, ("cursor", "earliest")])
    found = LINK.match(polled.headers["Link"])
    assert found is not None
    await client.publish(event(2), event(-1, entityType="invoice"), event(3))
    async with client.stream(path=found[1]) as stream:
        connected = await stream.connected()
        received = await stream.take(2 if query else 3)

    assert numbers(polled.json["events"]) == [1]
    assert connected.data["recovered"] is True
    assert [n for n in numbers(received) if n > 0] == [2, 3]


async def test_the_history_gives_the_newest_that_match_oldest_first(client):
    ids = await client.publish(*(event(n, of=f"ORDER-{n % 2}") for n in range(9)))
    response = await client.get(HISTORY, {"limit": 3, "entity": "order:ORDER-0"})

    assert numbers(response.json["events"]) == [4, 6, 8]
    assert response.json["cursor"] == ids[-1]


async def test_one_cursor_goes_from_transport_to_transport(client):
    await client.publish(event(0))
    received = []
    async with client.stream({"lastEventId": "earliest"}) as stream:
        await stream.connected()
        await client.publish(event(1))
        received += await stream.take(2)
        cursor = stream.last_event_id
    await client.publish(event(2), event(3), event(4))
    page = await client.get(POLL, {"limit": 2}, headers=[("Last-Event-ID", cursor)])
    received += page.json["events"]
    conditional = await client.get(POLL, {"limit": 1}, headers=[("If-None-Match", page.headers["ETag"])])
    received += conditional.json["events"]
    cursor = conditional.headers["ETag"].strip('"')
    await client.publish(event(5))
    async with client.stream(headers=[("Last-Event-ID", cursor)]) as stream:
        await stream.connected()
        await client.publish(event(6))
        received += await stream.take(2)

    assert numbers(received) == [0, 1, 2, 3, 4, 5, 6]


BAD = [
    *(("limit", value) for value in ("0", "1001", "-1", "1.5", "ten", "", "1e2", "\uff19", " 5", "9" * 30)),
    *(("wait", value) for value in ("-1", "60.1", "61", "soon", "", "1e1", "nan", "inf", "9" * 30)),
    *(("cursor", value) for value in ("x" * 129, "a\x00b", "a\nb", "\x85")),
    ("lastEventId", "x" * 129),
]


@pytest.mark.parametrize(("name", "value"), BAD)
async def test_a_parameter_out_of_range_is_400_and_named(client, name, value):
    response = await client.get(POLL, {name: value})

    assert_problem(response, 400)
    assert [error["parameter"] for error in response.json["errors"]] == [name]


async def test_head_is_as_get_without_the_body(client):
    [cursor] = await client.publish(event(1))
    response = await client.request("HEAD", POLL, {"cursor": "earliest"})

    assert (response.status, response.headers["ETag"], response.body) == (200, f'"{cursor}"', b"")
