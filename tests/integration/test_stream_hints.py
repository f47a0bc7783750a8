"""Refresh hints on a stream (protocol, section 4)."""

import pytest

from tests.support.api import Client, event, numbers
from tests.support.gateway import EVERY_WAY, make_settings

pytestmark = EVERY_WAY

SOON = {"debounceMs": 50, "maxWaitMs": 50}
NEVER = {"debounceMs": 60_000, "maxWaitMs": 60_000}


async def test_hints_are_off_unless_asked_for(client):
    async with client.stream(SOON) as plain, client.stream({"hints": "with", **SOON}) as hinted:
        await plain.connected()
        await hinted.connected()
        await client.publish(event(1))
        await hinted.until("refresh")
        await client.publish(event(2))
        received = await plain.take(2)

    assert numbers(received) == [1, 2]


async def test_with_hints_come_the_events_and_one_hint_for_all_of_them(client):
    async with client.stream({"hints": "with", **SOON}) as stream:
        await stream.connected()
        ids = await client.publish(event(1), event(2), event(3, eventType="payment_update"))
        received = await stream.take(3)
        hint = await stream.next()

    assert numbers(received) == [1, 2, 3]
    assert hint.event == "refresh"
    assert hint.id == hint.data["cursor"] == ids[-1]
    assert hint.data["jitterMs"] >= 0
    assert {name: hint.data[name] for name in ("entityType", "entityId", "eventTypes", "count")} == {
        "entityType": "order",
        "entityId": "ORDER-001",
        "eventTypes": ["stage_change", "payment_update"],
        "count": 3,
    }


async def test_hints_only_carries_no_events(client):
    async with client.stream({"hints": "only", **SOON}) as stream:
        await stream.connected()
        await client.publish(event(1, of="A"), event(2, of="B"), {"eventType": "global"})
        hints = [await stream.next(), await stream.next()]

    assert [(hint.event, hint.data["entityId"]) for hint in hints] == [("refresh", "A"), ("refresh", "B")]


async def test_hints_keep_to_the_selection(client):
    async with client.stream({"hints": "only", "entity": "order:B", **SOON}) as stream:
        await stream.connected()
        await client.publish(event(1, of="A"))
        await client.publish(event(2, of="B"))
        hint = await stream.next()

    assert (hint.data["entityId"], hint.data["count"]) == ("B", 1)


async def test_more_entities_than_the_fan_in_are_one_hint_for_the_type(start_gateway, way):
    gateway = start_gateway(make_settings(hints={"fan_in": 3}), way=way)
    client = Client(gateway.port)
    async with client.stream({"hints": "only", **SOON}) as stream:
        await stream.connected()
        await client.publish(*(event(n, of=f"ORDER-{n}") for n in range(3)))
        named = [await stream.next() for _ in range(3)]
        await client.publish(*(event(n, of=f"ORDER-{n}") for n in range(4)))
        whole = await stream.next()

    assert [hint.data["entityId"] for hint in named] == ["ORDER-0", "ORDER-1", "ORDER-2"]
    assert "entityId" not in whole.data
    assert (whole.data["entityType"], whole.data["count"]) == ("order", 4)


@pytest.mark.parametrize("delay", ["0", "49", "999999999", "10000000000"])
@pytest.mark.parametrize("name", ["debounceMs", "maxWaitMs"])
async def test_delays_out_of_range_are_clamped_and_not_refused(client, name, delay):
    async with client.stream({"hints": "only", **SOON, name: delay}) as stream:
        await stream.connected()
        await client.publish(event(1))
        # Whichever of the two is 50 ms lets the hint out.
        assert (await stream.next()).event == "refresh"


async def test_the_longest_wait_bounds_a_hint_that_is_always_debounced(client):
    async with client.stream({"hints": "only", **NEVER, "maxWaitMs": 50}) as stream:
        await stream.connected()
        await client.publish(event(1))

        assert (await stream.next()).data["count"] == 1


async def test_a_resume_over_many_events_is_one_hint_an_entity(client):
    ids = await client.publish(*(event(n, of=f"ORDER-{n % 2}") for n in range(20)))
    async with client.stream({"hints": "only", "lastEventId": ids[0], **NEVER}) as stream:
        await stream.connected()
        hints = [await stream.next(), await stream.next()]

    assert {(hint.data["entityId"], hint.data["count"]) for hint in hints} == {
        ("ORDER-0", 9),
        ("ORDER-1", 10),
    }


async def test_a_hint_that_was_pending_when_the_stream_broke_is_given_on_resume(start_gateway, way):
    settings = make_settings(stream={"heartbeat_seconds": 0.05})
    client = Client(start_gateway(settings, way=way).port)
    for mode in ("only", "with"):
        async with client.stream({"hints": mode, **NEVER}) as stream:
            await stream.connected()
            await client.publish(event(1))
            for _ in range(2):
                await stream.until("heartbeat")
            cursor = stream.last_event_id
        async with client.stream({"hints": mode, "lastEventId": cursor, **NEVER}) as stream:
            await stream.connected()
            hint = await stream.until("refresh")

        assert hint.data["entityId"] == "ORDER-001"


@pytest.mark.parametrize("count", [10, 200])
async def test_a_history_shorter_than_a_pending_hint_is_no_silent_gap(start_gateway, way, count):
    settings = make_settings(stream={"heartbeat_seconds": 0.05}, history={"max_events": 3})
    client = Client(start_gateway(settings, way=way).port)
    told = []
    async with client.stream() as witness, client.stream({"hints": "only", **NEVER}) as stream:
        await witness.connected()
        await stream.connected()
        for n in range(count):
            await client.publish(event(n, of="ORDER-001" if n == 0 else "ORDER-002"))
            await witness.until("stage_change")
        beats = 0
        while beats < 2:  # the first may have been on its way before the last event
            told.append(await stream.any())
            beats += told[-1].event == "heartbeat"
    async with client.stream({"hints": "only", "lastEventId": stream.last_event_id, **NEVER}) as stream:
        await stream.connected()
        told.append(await stream.next())

    # ORDER-001 changed, and its event is trimmed: the client must have heard of one or of the other.
    assert any(
        frame.event == "reset" or (frame.event == "refresh" and frame.data.get("entityId") == "ORDER-001")
        for frame in told
    )
