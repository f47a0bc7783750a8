"""A leak: whoever has the cursor of another session is given what came to that one."""

import pytest

from tests.support.api import HISTORY, POLL, Client
from tests.support.tokens import mint
from tests.support.ways import place, scope_of

ANN = mint("ann", subscribe=["order:owner=eq.ann"])
BOTH = mint("ann", subscribe=["order:owner=eq.ann", "order:owner=eq.bob"])
BOB = mint("bob", subscribe=["order:owner=eq.bob"])
LESS = mint("ann", subscribe=[{"entity": "order", "filters": ["owner=eq.ann"], "members": ["owner"]}])
PUBLISHER = mint("backend", publish=["*"])
OTHERS = pytest.mark.parametrize("token", [BOB, BOTH, LESS], ids=["another", "more rows", "fewer members"])
PARAMETERS = ("cursor", "lastEventId", "last_event_id")


def order(n, owner="ann"):
    data = {"n": n, "owner": owner}
    return {"eventType": "changed", "entityType": "order", "entityId": str(n), "data": data}


async def cursors_of(gateway, token):
    """The cursors that a caller is given by every way, and those of the 201 that it may have seen."""
    client, publisher = Client(gateway.port, token), Client(gateway.port, PUBLISHER)
    before = await client.now()
    async with client.stream() as stream, client.stream([("hints", "only"), ("debounceMs", 50)]) as hints:
        connected, first = await stream.connected(), await hints.connected()
        ids = await publisher.publish(*(order(n, owner) for n in range(4) for owner in ("ann", "bob")))
        frames = [connected, first, await stream.next(), await stream.until("heartbeat")]
        frames.append(await hints.until("refresh"))
    polled = await client.get(POLL, {"cursor": before, "limit": 1})
    looked_back = await client.get(HISTORY)
    link = polled.headers["Link"].partition("lastEventId=")[2].partition(">")[0]
    answers = [polled.json["cursor"], polled.headers["ETag"].strip('"'), link, looked_back.json["cursor"]]
    events = [*polled.json["events"], *looked_back.json["events"]]
    return {before, *answers, *(one["id"] for one in events), *(one.id for one in frames), *ids}


@OTHERS
async def test_no_cursor_of_another_scope_replays_anything_to_a_stream(reading_gateway, token):
    client = Client(reading_gateway.port, token)
    publisher = Client(reading_gateway.port, PUBLISHER)
    n = 10
    for cursor in sorted(await cursors_of(reading_gateway, ANN)):
        for query, headers in (
            *(([(name, cursor)], []) for name in PARAMETERS),
            ([], [("Last-Event-ID", cursor)]),
            ([("hints", "only"), ("debounceMs", 50), ("cursor", cursor)], []),
            ([("cursor", cursor), ("cursor", "earliest")], []),
            ([("cursor", "earliest")], [("Last-Event-ID", cursor)]),
        ):
            async with client.stream(query, headers=headers) as stream:
                connected, reset = await stream.connected(), await stream.next()
                assert connected.data["recovered"] is False
                assert (reset.event, reset.data["reason"]) == ("reset", "scope")
                assert connected.id == reset.id == reset.data["cursor"]
                assert scope_of(reset.id) != scope_of(cursor)
                n += 1
                *_, last = await publisher.publish(order(n, "ann"), order(n, "bob"))
                frame = await stream.next()
                # What comes next is of now.
                assert place(reset.id) < place(frame.id) <= place(last) or frame.event == "refresh"
                assert str(n) in (frame.data["entityId"], frame.data.get("data", {}).get("n"))


@OTHERS
async def test_no_cursor_of_another_scope_replays_anything_to_a_poll(reading_gateway, token):
    client = Client(reading_gateway.port, token)
    for cursor in sorted(await cursors_of(reading_gateway, ANN)):
        for query in (
            *([(name, cursor)] for name in PARAMETERS),
            [("cursor", cursor), ("wait", "10")],
            [("cursor", cursor), ("cursor", "earliest")],
        ):
            answer = await client.get(POLL, query)
            assert (answer.status, answer.json["events"]) == (200, [])
            assert answer.json["reset"] == {"reason": "scope"}
            assert scope_of(answer.json["cursor"]) != scope_of(cursor)


async def test_the_cursor_of_a_token_with_the_same_grants_goes_on(reading_gateway):
    held = await cursors_of(reading_gateway, BOTH)
    turned = mint("another", subscribe=["order:owner=eq.bob", "order:owner=eq.ann", "order:owner=eq.bob"])
    client = Client(reading_gateway.port, turned)
    own = scope_of(await client.now())
    same = sorted((cursor for cursor in held if scope_of(cursor) == own), key=place)
    assert len(same) >= 6
    for cursor in same:
        answer = await client.poll(cursor=cursor)
        assert "reset" not in answer
        assert [place(one["id"]) > place(cursor) for one in answer["events"]] == [True] * len(
            answer["events"]
        )
    assert len((await client.poll(cursor=same[0]))["events"]) == 8


async def test_a_cursor_whose_scope_was_changed_by_hand_is_another_one_s_still(reading_gateway):
    cursor = sorted(await cursors_of(reading_gateway, ANN), key=place)[0]
    client = Client(reading_gateway.port, BOB)
    bare = cursor.rpartition(".")[0]
    for text in (bare, f"{bare}.AAAAAAAAAAA", f"{bare}."):
        answer = await client.poll(cursor=text)
        assert answer["events"] == []
        assert answer["reset"]["reason"] in ("scope", "unknown")
    # With its own scope it is a position, and what follows is by the caller's own grants.
    answer = await client.poll(cursor=f"{bare}.{scope_of(await client.now())}")
    assert {one["data"]["owner"] for one in answer["events"]} == {"bob"}
