"""A leak: what was decided or made for one caller is given to another who asked for the same."""

from contextlib import AsyncExitStack

from tests.support.api import Client
from tests.support.tokens import mint
from tests.support.ways import watching

EVERY_BRANCH = {"entity": "order", "members": ["branch", "stage", "price"]}
GRANTS = (
    ["order:branch=eq.7"],
    ["order:branch=eq.8"],
    ["order:branch=in.(7,8)"],
    ['order:branch=eq."7"'],
    ["order:branch=eq.7", "order:branch=eq.8"],
    ["order:1"],
    ["order:1", "order:2"],
    ["*"],
    [{"entity": "order", "members": ["branch"]}],
    [{"entity": "order", "members": ["stage"]}],
    [{"entity": "order", "filters": ["branch=eq.7"], "members": ["price"]}],
    [EVERY_BRANCH],
    [{"entity": "*", "filters": ["stage=eq.new"]}],
    ["global", "order:branch=eq.9"],
)
ROWS = {
    "1": {"branch": 7, "stage": "new", "price": 1},
    "2": {"branch": 8, "stage": "new", "price": 2},
    "3": {"branch": "7", "stage": "old", "price": 3},
    "4": {"branch": 9, "stage": "old", "price": 4},
}


def has(*ids, of=("branch", "stage", "price")):
    """The rows of these ids, with these members."""
    return {one: {name: ROWS[one][name] for name in of} for one in ids}


EXPECTED = (
    has("1"),
    has("2"),
    has("1", "2"),
    has("3"),
    has("1", "2"),
    has("1"),
    has("1", "2"),
    has("1", "2", "3", "4"),
    has("1", "2", "3", "4", of=["branch"]),
    has("1", "2", "3", "4", of=["stage"]),
    has("1", of=["price"]),
    has("1", "2", "3", "4"),
    has("1", "2"),
    has("4"),
)


async def _rows(gateway, tokens, query):
    """What each of these callers is given of ROWS, who all ask for the same at the same time."""
    publisher = Client(gateway.port, mint(publish=["*"]))
    events = [
        {"eventType": "changed", "entityType": "order", "entityId": one, "data": row}
        for one, row in ROWS.items()
    ]
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(watching(gateway.port, token, query)) for token in tokens]
        *_, last = await publisher.publish(*events)
        told = [await watch.told(last) for watch in watches]
    return [{event["entityId"]: event["data"] for event in one.events} for one in told]


async def test_callers_who_ask_for_the_same_get_each_what_it_is_granted(reading_gateway):
    # One person with many tokens: nothing may go by the subject either.
    tokens = [mint("one-and-the-same", subscribe=grants) for grants in GRANTS]
    assert await _rows(reading_gateway, tokens, [("entity", "order")]) == list(EXPECTED)


async def test_so_they_do_where_they_ask_for_everything_and_come_in_another_order(reading_gateway):
    tokens = [mint(f"user-{n}", subscribe=grants) for n, grants in enumerate(reversed(GRANTS))]
    assert await _rows(reading_gateway, tokens, []) == list(reversed(EXPECTED))


async def test_callers_of_the_same_grants_in_whatever_order_are_served_as_one(reading_gateway):
    grants = ["order:branch=eq.7", "order:2", "menu"]
    tokens = [
        mint("ann", subscribe=grants),
        mint("bob", subscribe=grants[::-1]),
        mint("cy", subscribe=[*grants, grants[0]]),
    ]
    delivery = reading_gateway.parts.delivery
    async with AsyncExitStack() as stack:
        for token in tokens:
            stream = await stack.enter_async_context(Client(reading_gateway.port, token).stream())
            await stream.connected()
        assert reading_gateway.call(lambda: len(delivery.hub.groups)) == 1
    assert await _rows(reading_gateway, tokens, []) == [has("1", "2")] * 3


async def test_a_caller_s_next_token_is_not_served_by_the_one_before(reading_gateway):
    for grants, expected in zip(GRANTS, EXPECTED, strict=True):
        assert await _rows(reading_gateway, [mint("ann", subscribe=grants)], []) == [expected]
